"""Which secrets there are, as ansible/secrets.yml and the applications declare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.yamlio import Reader

KINDS = ("password", "uuid")


@dataclass(frozen=True, slots=True)
class SecretKind:
    """What a secret is like; `disposable` ones exist where all nodes are disposable, and nowhere else."""

    kind: str
    disposable: bool = False


def read_secret_kinds(reader: Reader, value: object) -> dict[str, SecretKind]:
    """Return the kinds by name, noting what is wrong with them."""
    kinds = {}
    for name, entry in reader.mapping(value, "secrets").items():
        where = f"secrets.{name}"
        fields = reader.fields(entry, where, ["kind", "purpose"], ["disposable"])
        reader.text(fields, "purpose", where)
        kinds[name] = SecretKind(
            reader.choice(fields, "kind", where, KINDS), reader.flag(fields, "disposable", where)
        )
    return kinds
