"""The hub's part of a check: by roster, keys, versions and prices, without anybody's file."""

from dataclasses import dataclass, replace

import pytest

from fedrisk.engine.public_check import charge, check_public
from fedrisk.recipes import recipe_of
from fedrisk.secure.identity import IdentityKey
from fedrisk.server.hub import Hub
from fedrisk.study import study_from

KEYS = {name: IdentityKey(bytes([k]) * 32).public for k, name in enumerate(("bank", "tax", "court"), 1)}


@dataclass(frozen=True)
class Member:
    name: str
    role: str
    identity: str
    protocols: tuple[int, ...] = (1,)
    fedrisk: str = "0.3.0"


@dataclass(frozen=True)
class Consortium:
    members: tuple[Member, ...]
    epoch: int = 3

    def having(self, name, **changes):
        return Consortium(tuple(replace(m, **changes) if m.name == name else m for m in self.members))

    def without(self, name):
        return Consortium(tuple(m for m in self.members if m.name != name))


ROSTER = Consortium(
    (
        Member("bank", "bank", KEYS["bank"].hex()),
        Member("tax", "holder", KEYS["tax"].hex()),
        Member("court", "authority", KEYS["court"].hex()),
        Member("other", "bank", "ab" * 32),
    )
)


def study(**changes):
    content = {
        "name": "pilot",
        "purpose": "credit_scoring",
        "privacy": {"epsilon": 1.0},
        "institutions": [
            {"name": "bank", "role": "bank"},
            {"name": "tax", "role": "holder"},
            {"name": "court", "role": "authority"},
        ],
        "alignment": {"authority": "court"},
        **changes,
    }
    found = study_from(content)
    return recipe_of(found).checked(found)


@pytest.fixture
def hub(tmp_path):
    hub = Hub(tmp_path / "hub")
    hub.pin(KEYS)
    return hub


def texts(found):
    return [*found.refused, *(t for line in found.institutions for t in line.refused)]


def test_a_study_of_the_roster_would_run_at_its_price(hub):
    found = check_public(study(), ROSTER, hub=hub)
    assert not found.broken and found.public and found.plan is None
    prices = {line.name: line.mu for line in found.institutions}
    assert prices["bank"] == prices["tax"] > 0 == prices["court"]
    assert [f.code for f in found.expectations] == ["charged", "public_only"]
    assert found.expectations[0].values["mu"] == prices["bank"]


def test_a_study_that_counts_says_what_other_values_cost(hub):
    counted = {"by": ["tax.county"], "measures": [{"kind": "count"}]}
    content = {"name": "cells", "purpose": "p", "recipe": "statistics", "privacy": {"epsilon": 1.0}}
    institutions = [{"name": "tax", "role": "holder"}]
    asked = study_from({**content, "institutions": institutions, "statistics": counted})
    (found,) = charge(recipe_of(asked).checked(asked))
    assert found.code == "charged_values"
    assert set(found.values) == {"epsilon", "delta", "mu", "replaced"}


BROKEN = {
    "no member of the consortium": (ROSTER.without("tax"), "tax is not in the roster (epoch 3)"),
    "another role": (ROSTER.having("tax", role="bank"), "it is in the consortium as a bank"),
    "a regulator that holds data": (ROSTER.having("tax", role="regulator"), "as a regulator"),
    "another key": (ROSTER.having("tax", identity="cd" * 32), "is not that of the roster"),
    "a version that is too new": (ROSTER.having("tax", protocols=(7, 8)), "upgrade fedrisk at the hub"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_would_be_refused_is_said_for_one_reason(hub, what):
    roster, says = BROKEN[what]
    found = check_public(study(), roster, hub=hub)
    assert found.broken and found.reasons == 1
    assert says in texts(found)[0]


def test_an_optional_member_that_is_not_there_is_left_out(hub):
    hub.pin({"power": IdentityKey(b"\7" * 32).public})
    members = [m.model_dump() for m in study().institutions]
    wide = study(institutions=[*members, {"name": "power", "role": "holder", "optional": True}])
    found = check_public(wide, ROSTER, hub=hub)
    assert not found.broken
    assert [line.name for line in found.institutions if line.left_out] == ["power"]


def test_a_draw_key_that_is_lost_is_said_and_none_is_made(hub):
    check_public(study(), ROSTER, hub=hub)
    assert not (hub.path / "holdout.key").exists()
    hub.draw_key("holdout")
    (hub.path / "holdout.key").unlink()
    found = check_public(study(), ROSTER, hub=hub)
    assert "studies were drawn with it" in texts(found)[0]
    assert not check_public(study(), ROSTER, hub=hub, research_seed=1).broken


def test_on_one_machine_nobody_is_looked_up_in_a_roster(hub):
    assert not check_public(study(), None, hub=hub).broken
