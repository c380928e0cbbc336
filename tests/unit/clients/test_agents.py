"""Who is an agent of enterprises: the list of members says so, and a name in a policy does not."""

import pytest

from fedrisk.clients.agents import Listed, not_agents
from support.consortium import institution_file, joined


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    return joined(tmp_path_factory.mktemp("agents"), {"bank": "bank", "tax": "holder"})


def test_the_list_of_members_says_who_is_an_agent(pilot):
    listed = Listed.of(pilot.node("tax"))
    assert listed.known and dict(listed.roles) == {"bank": "bank", "tax": "holder"}
    assert not_agents([], listed) == ""
    said = not_agents(["bank", "stranger"], listed)
    assert "bank has the role bank in the list" in said and "stranger is not in the list of members" in said
    assert "--role agent" in said


def test_where_there_is_no_list_nobody_is_called_no_agent(tmp_path):
    from fedrisk.clients.node import Node

    node = Node.open(institution_file(tmp_path, "alone", "holder"))
    assert not Listed.of(node).known
    assert not_agents(["service"], Listed.of(node)) == ""


@pytest.mark.parametrize(
    ("roles", "names", "wrong"),
    [
        ({"s": "agent"}, ["s"], []),
        ({"s": "agent", "tax": "holder"}, ["s", "tax"], ["tax"]),
        ({"r": "regulator"}, ["r", "x"], ["r", "x"]),
    ],
)
def test_every_name_is_looked_at(roles, names, wrong):
    said = not_agents(names, Listed(roles, True))
    assert bool(said) == bool(wrong) and all(f"{name} " in said for name in wrong)
