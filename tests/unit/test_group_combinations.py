"""A node may be in any groups together: it runs what each of them alone would make it run."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import rendering
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

# Each of Spark's groups alone.
ALONE = {
    "spark_master": {"master"},
    "spark_workers": {"worker"},
    "spark_drivers": {"client", "history"},
}
SUBSETS = [set(chosen) for size in range(4) for chosen in itertools.combinations(ALONE, size)]


def templated(groups: set[str]) -> Any:  # noqa: ANN401 - whatever the template makes
    """Return the roles of Spark that the defaults give to a node in these groups."""
    defaults = rendering.load(rendering.ROOT / "ansible" / "defaults" / "spark.yml")
    variables = {"group_names": sorted({*groups, "hdfs_datanodes"})}
    return Templar(loader=DataLoader(), variables=variables).template(defaults["spark_roles"])


@pytest.mark.parametrize("groups", SUBSETS, ids=lambda groups: "+".join(sorted(groups)) or "none")
def test_a_node_has_the_roles_of_all_its_groups(groups: set[str]) -> None:
    assert set(templated(groups)) == set().union(*(ALONE[group] for group in groups))


def test_ansible_gives_a_node_of_several_groups_the_roles_of_all() -> None:
    mini = rendering.environment("mini")
    use = next(use for use in rendering.uses() if use.role == "spark")
    roles = {
        host: mini.render(use, host, "{{ spark_roles | join(' ') }}", {}) for host in ("spark-1", "db-1")
    }
    assert roles == {"spark-1": "master worker", "db-1": "client history"}


def test_no_group_has_variables_of_its_own() -> None:
    # Of a list that two groups of a node set, one would win in silence.
    inventory = rendering.environment("mini").inventory
    for name, group in inventory.groups.items():
        assert name == "all" or not group.get_vars(), name
