"""The machine's packet filter as rules to follow: parsers of iptables-save and `nft -j list ruleset`.

Pure functions. A condition that is not understood stays in the rule as one that may hold or not.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

ACCEPT, DROP, RETURN, JUMP, GOTO, CONTINUE, UNKNOWN = (
    "accept",
    "drop",
    "return",
    "jump",
    "goto",
    "continue",
    "unknown",
)


@dataclass(frozen=True)
class Condition:
    """A field of the packet that has to be one of ``values``; a field "" is a condition not understood.

    Fields: iif, oif, proto, sport, dport, saddr, daddr, state, status, nfproto. A name of an interface may
    end with ``*``, a port may be a range ``a-b``, an address may be a network.
    """

    field: str
    values: tuple[str, ...] = ()
    negated: bool = False


NOT_UNDERSTOOD = Condition("")


@dataclass(frozen=True)
class Rule:
    """What to do with a packet that meets all conditions; ``target`` is the chain of jump and goto."""

    conditions: tuple[Condition, ...]
    verdict: str
    target: str = ""


@dataclass
class Chain:
    """A chain; one that hangs at a hook (input, forward, …) has a policy, others have neither."""

    name: str
    hook: str
    policy: str
    rules: list[Rule]


@dataclass(frozen=True)
class Table:
    """The chains that can jump to each other; ``tool`` is iptables or nft."""

    tool: str
    family: str
    name: str
    chains: dict[str, Chain]


_IPTABLES_FIELDS = {
    "-i": "iif",
    "-o": "oif",
    "-p": "proto",
    "-s": "saddr",
    "-d": "daddr",
    "--sport": "sport",
    "--sports": "sport",
    "--dport": "dport",
    "--dports": "dport",
    "--ctstate": "state",
    "--state": "state",
}
_PLAIN_MODULES = {"tcp", "udp", "icmp", "conntrack", "state", "comment", "multiport"}
_IPTABLES_VERDICTS = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": DROP, "RETURN": RETURN}
_GO_ON = {"LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TRACE", "TCPMSS", "CT", "CHECKSUM", "SET"}


def parse_iptables(text: str) -> list[Table]:
    """Parse what iptables-save prints, without the table nat, which drops nothing."""
    tables: list[Table] = []
    chains: dict[str, Chain] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = {}
            if line != "*nat":
                tables.append(Table("iptables", "ip", line[1:].strip(), chains))
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            built_in = policy != "-"
            chains[name] = Chain(name, name.lower() if built_in else "", policy.lower(), [])
        elif line.startswith("-A "):
            _, name, *words = shlex.split(line)
            chains[name].rules.append(_iptables_rule(words, chains))
    return tables


def _iptables_rule(words: list[str], chains: dict[str, Chain]) -> Rule:
    conditions: list[Condition] = []
    negated = False
    rest = iter(words)
    for word in rest:
        if word == "!":
            negated = True
            continue
        if word in {"-j", "-g"}:
            return Rule(tuple(conditions), *_iptables_target(word, next(rest), chains))
        if word in _IPTABLES_FIELDS:
            field = _IPTABLES_FIELDS[word]
            conditions.append(Condition(field, _iptables_values(field, next(rest)), negated))
        elif word == "-m":
            if next(rest) not in _PLAIN_MODULES:
                conditions.append(NOT_UNDERSTOOD)
        elif word == "--comment":
            next(rest)
        elif word.startswith("-"):
            conditions.append(NOT_UNDERSTOOD)
        negated = False
    return Rule(tuple(conditions), CONTINUE)


def _iptables_values(field: str, text: str) -> tuple[str, ...]:
    if field in {"iif", "oif"}:
        return (f"{text[:-1]}*" if text.endswith("+") else text,)
    if field in {"sport", "dport"}:
        text = text.replace(":", "-")
    return tuple(text.lower().split(","))


def _iptables_target(option: str, name: str, chains: dict[str, Chain]) -> tuple[str, str]:
    if name in chains:
        return (JUMP if option == "-j" else GOTO), name
    if name in _GO_ON:
        return CONTINUE, ""
    return _IPTABLES_VERDICTS.get(name, UNKNOWN), ""


_META = {
    "iif": "iif",
    "iifname": "iif",
    "oif": "oif",
    "oifname": "oif",
    "l4proto": "proto",
    "nfproto": "nfproto",
}
_PAYLOAD = {"sport", "dport", "saddr", "daddr"}
_IMPLIED = {
    **{name: [Condition("proto", (name,))] for name in ("tcp", "udp", "icmp")},
    **{name: [Condition("nfproto", ("ipv6",))] for name in ("ip6", "icmpv6")},
}
_SILENT = {"counter", "log", "mangle", "comment", "notrack", "ct helper", "ct timeout", "flow", "last"}
_NFT_VERDICTS = {"accept": ACCEPT, "drop": DROP, "reject": DROP, "return": RETURN}


def parse_nft(text: str) -> list[Table]:
    """Parse what `nft -j list ruleset` prints: the tables that see IPv4 (families ip and inet)."""
    tables: dict[tuple[str, str], Table] = {}
    for entry in json.loads(text)["nftables"]:
        for kind in ("table", "chain", "rule"):
            found = entry.get(kind)
            if found is None or found["family"] not in {"ip", "inet"}:
                continue
            key = (found["family"], found["name"] if kind == "table" else found["table"])
            table = tables.setdefault(key, Table("nft", *key, {}))
            if kind == "chain":
                filters = found.get("type") == "filter"
                hook = found.get("hook", "") if filters else ""
                table.chains[found["name"]] = Chain(found["name"], hook, found.get("policy", "accept"), [])
            elif kind == "rule":
                table.chains[found["chain"]].rules += _nft_rules(found["expr"])
    return list(tables.values())


def _nft_rules(expressions: list[dict[str, Any]]) -> list[Rule]:
    """Return the rule, or one for each element of its verdict map."""
    conditions: list[Condition] = []
    for expression in expressions:
        ((kind, body),) = expression.items()
        if kind == "match":
            conditions += _nft_match(body)
        elif kind == "vmap":
            return _nft_map(tuple(conditions), body)
        elif kind in {"jump", "goto"}:
            return [Rule(tuple(conditions), kind, body["target"])]
        elif kind in _NFT_VERDICTS:
            return [Rule(tuple(conditions), _NFT_VERDICTS[kind])]
        elif kind in {"queue", "xt"}:
            # What iptables put there in its own form says neither whether it is a condition nor what it does.
            return [Rule((*conditions, NOT_UNDERSTOOD), UNKNOWN)]
        elif kind not in _SILENT:
            conditions.append(NOT_UNDERSTOOD)
    return [Rule(tuple(conditions), CONTINUE)]


def _nft_map(conditions: tuple[Condition, ...], body: dict[str, Any]) -> list[Rule]:
    implied, field = _nft_field(body["key"])
    data = body["data"]
    if not field or not isinstance(data, dict) or "set" not in data:
        return [Rule((*conditions, NOT_UNDERSTOOD), UNKNOWN)]
    rules = []
    for key, action in data["set"]:
        (rule,) = _nft_rules([action])
        values = _nft_values(key)
        one = NOT_UNDERSTOOD if values is None else Condition(field, values)
        rules.append(Rule((*conditions, *implied, one), rule.verdict, rule.target))
    return rules


def _nft_match(body: dict[str, Any]) -> list[Condition]:
    implied, field = _nft_field(body["left"])
    values = _nft_values(body["right"])
    if not field or values is None or body["op"] not in {"==", "!=", "in"}:
        return [*implied, NOT_UNDERSTOOD]
    return [*implied, Condition(field, values, body["op"] == "!=")]


def _nft_field(left: object) -> tuple[list[Condition], str]:
    """Return what a field tells by being there (a TCP port: the protocol), and its name, "" if unknown."""
    match left:
        case {"meta": {"key": key}}:
            return [], _META.get(key, "")
        case {"ct": {"key": "state" | "status" as key}}:
            return [], key
        case {"payload": {"protocol": "ip", "field": "protocol"}}:
            return [], "proto"
        case {"payload": {"protocol": protocol, "field": field}}:
            known = field in _PAYLOAD and protocol in {"ip", "th", "tcp", "udp"}
            return _IMPLIED.get(protocol, []), field if known else ""
    return [], ""


def _nft_values(right: object) -> tuple[str, ...] | None:
    """Return the values on the right of a match; None where they are not plain (the name of a set)."""
    match right:
        case str() if not right.startswith("@"):
            return (right,)
        case int():
            return (str(right),)
        case {"range": [first, last]}:
            return (f"{first}-{last}",)
        case {"prefix": {"addr": address, "len": length}}:
            return (f"{address}/{length}",)
        case {"set": list(elements)} | list(elements):
            found = [_nft_values(element) for element in elements]
            return None if None in found else tuple(value for values in found for value in values or ())
    return None
