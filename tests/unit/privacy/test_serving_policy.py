"""Rules for models that serve: keys of registers, and rules under which nobody is answered."""

from datetime import date

import pytest
from pydantic import ValidationError

from fedrisk.privacy.serving_policy import ServingPolicy

KEYS = [f"{n:064x}" for n in range(100, 105)]
TODAY = date(2026, 11, 26)


def registers(*entries):
    return [{"name": name, "key": KEYS[number], "until": until} for name, number, until in entries]


@pytest.mark.parametrize("key", ["00" * 32, "01" + "00" * 31, "ff" * 32])
def test_a_key_under_which_anybody_could_sign_is_refused(key):
    with pytest.raises(ValidationError, match="key is none that a register has"):
        ServingPolicy(registers=[{"name": "r", "key": key}])


def test_a_register_may_have_an_old_and_a_new_key():
    found = ServingPolicy(
        registers=registers(("r", 0, TODAY), ("r", 1, None), ("r", 2, None), ("s", 3, None))
    )
    assert [r.name for r in found.registers] == ["r", "r", "r", "s"]


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([("r", 0, None), ("s", 0, None)], "names a key twice"),
        ([("r", 0, None), ("r", 0, TODAY)], "names a key twice"),
        ([("r", n, None) for n in range(4)], "more than 3 keys of one register"),
    ],
)
def test_keys_that_are_refused(entries, says):
    with pytest.raises(ValidationError, match=says):
        ServingPolicy(registers=registers(*entries))


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({}, "no register is pinned"),
        ({"registers": registers(("r", 0, date(2026, 11, 25)))}, "past its last day"),
        ({"registers": registers(("r", 0, TODAY))}, ""),
        ({"consent": "reference"}, ""),
        ({"consent": "none"}, ""),
        ({"monitoring": 9, "monitoring_consent": "none"}, ""),
        ({"monitoring": 9, "monitoring_consent": "token"}, "no register is pinned"),
        ({"monitoring_consent": "none"}, "no register is pinned"),
        ({"consent": "none", "models": 0}, "no scores are given"),
        ({"consent": "none", "per_day": 0}, "no scores are given"),
    ],
)
def test_rules_under_which_nobody_is_answered(rules, says):
    told = ServingPolicy(**rules).answers_nobody(TODAY)
    assert says in told
    assert bool(told) == bool(says)
