"""The filters as templates use them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

SERVICES = {
    "web": {
        "group": "web",
        "unit": "web.service",
        "ports": {
            "http": {"port": 80, "protocol": "tcp", "tls": "none", "from": ["all"]},
            "admin": {"port": 8000, "end": 8009, "protocol": "udp", "tls": "none", "from": ["operator"]},
        },
        "health": {"type": "unit"},
        "metrics": None,
        "gateway": None,
    }
}
NODES = {
    "web-1": {"address": "10.0.0.1", "groups": ["web"], "fqdn": "web-1.x"},
    "db-1": {"address": "10.0.0.2", "groups": ["db"], "fqdn": "db-1.x"},
}


def evaluate(expression: str, **variables: object) -> Any:  # noqa: ANN401 - whatever it makes
    templar = Templar(loader=DataLoader(), variables=variables)
    return templar.template(trust_as_template("{{ " + expression + " }}"))


def test_flows() -> None:
    found = evaluate(
        "'web-1' | millrace_flows(nodes, services, ['10.9.0.0/16'])", nodes=NODES, services=SERVICES
    )
    assert found == [
        {"port": "80", "protocol": "tcp", "sources": ["10.0.0.2"], "names": ["web.http"]},
        {"port": "8000-8009", "protocol": "udp", "sources": ["10.9.0.0/16"], "names": ["web.admin"]},
    ]
    assert evaluate("'db-1' | millrace_flows(nodes, services)", nodes=NODES, services=SERVICES) == []


def test_merge_and_properties() -> None:
    expression = "a | millrace_merge({'x': none, 'y': true}, {'z': 1}) | to_properties"
    assert evaluate(expression, a={"x": 1, "y": False, "w": "t"}) == "w=t\ny=true\nz=1\n"
    assert evaluate("{'b': 'x'} | to_properties('postgresql')") == "b = 'x'\n"


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("'x' | millrace_flows(nodes, services)", "there is no node 'x'; there are: db-1, web-1"),
        ("'web-1' | millrace_flows(nodes, {'web': {}})", "services.web.group: is missing"),
        (
            "'web-1' | millrace_flows({'web-1': {'groups': 'web'}}, services)",
            "groups must be a list, not 'web'",
        ),
        ("'web-1' | millrace_flows(nodes, services, ['here'])", "'here' does not appear to be an IPv4"),
        ("{} | millrace_merge([1])", "millrace_merge: must be a mapping, not"),
        ("{'a': {}} | to_properties", "to_properties: the value of 'a' must be text"),
        ("{} | to_properties('x')", "to_properties: unknown style 'x'"),
    ],
)
def test_mistakes_are_told(expression: str, told: str) -> None:
    with pytest.raises(AnsibleError, match=told):
        evaluate(expression, nodes=NODES, services=SERVICES)
