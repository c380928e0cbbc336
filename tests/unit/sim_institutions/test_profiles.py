"""Which institutions the profiles have, and who borrows."""

import pytest

from sim_institutions.profiles import PROFILES


@pytest.mark.parametrize(
    ("name", "banks", "holders", "borrowers"),
    [
        ("demo", 3, 3, 0.88),
        ("interactions", 3, 3, 0.88),
        ("consortium", 17, 5, 0.8),
        ("province", 17, 19, 0.4),
    ],
)
def test_profiles_have_the_institutions_that_the_readme_states(name, banks, holders, borrowers):
    profile = PROFILES[name]
    assert profile.name == name
    assert len({bank.name for bank in profile.banks}) == banks
    assert len(set(profile.holders)) == holders
    assert profile.borrowers == pytest.approx(borrowers, abs=0.005)
    assert profile.smallest < profile.enterprises


def test_the_province_has_the_institutions_of_the_report():
    holders = PROFILES["province"].holders
    for kind, count in (("guarantor", 8), ("bureau", 3), ("fintech", 2)):
        assert sum(name.startswith(kind) for name in holders) == count


def test_ordinary_banks_are_smaller_one_after_the_other():
    weights = [bank.weight for bank in PROFILES["province"].banks[4:]]
    assert len(weights) == 13
    assert weights == sorted(weights, reverse=True)
