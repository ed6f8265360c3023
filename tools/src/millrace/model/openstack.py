"""What a topology says of an OpenStack cloud (`openstack:`): nothing secret, that is in clouds.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millrace.yamlio import Reader

KEY = "openstack"
# The flavour of nodes none of whose groups has one.
DEFAULT = "default"
_AFFINITIES = ("anti-affinity", "soft-anti-affinity")


@dataclass(frozen=True, slots=True)
class OpenStack:
    """Names of what the cloud has: an entry of clouds.yaml, a network, an image, flavours by group."""

    cloud: str = ""
    external_network: str = ""
    image: str = ""
    flavors: Mapping[str, str] = field(default_factory=dict)


def read_openstack(reader: Reader, value: object) -> OpenStack:
    """Return the section, noting what is wrong with it."""
    fields = reader.fields(
        value,
        KEY,
        ["cloud", "external_network", "flavors", "image"],
        ["anti_affinity", "dns", "volume_type"],
    )
    flavors = reader.mapping(fields["flavors"], f"{KEY}.flavors") if "flavors" in fields else {}
    if "flavors" in fields and isinstance(fields["flavors"], dict) and DEFAULT not in flavors:
        reader.add(f"{KEY}.flavors.{DEFAULT}", "is missing; nodes whose groups have no flavour take it")
    reader.choice(fields, "anti_affinity", KEY, _AFFINITIES)
    reader.text(fields, "volume_type", KEY)
    for server in reader.texts(fields, "dns", KEY):
        try:
            IPv4Address(server)
        except AddressValueError:
            reader.add(f"{KEY}.dns", f"must be IPv4 addresses such as 192.0.2.53, not {server!r}")
    return OpenStack(
        cloud=reader.text(fields, "cloud", KEY),
        external_network=reader.text(fields, "external_network", KEY),
        image=reader.text(fields, "image", KEY),
        flavors={group: reader.text(flavors, group, f"{KEY}.flavors") for group in flavors},
    )
