"""The most that an answer tells: logarithms of what it may be, held against counting all of it."""

import itertools
import math
from datetime import date

import pytest

from fedrisk.models.model_part import GivenSum, ModelPart, ServedIndex
from fedrisk.models.told_bits import AGE_CLASSES, age_counts, ages_rule, told_bits
from fedrisk.privacy.policy import Policy
from fedrisk.serving.ages import AGES
from fedrisk.serving.kinds import KINDS

HOLDERS = ("tax", "power", "social")


def part(**more):
    said = {
        "model": "0" * 16,
        "kind": "scorecard",
        "name": "m",
        "version": 1,
        "made": date(2026, 1, 1),
        "purpose": "credit_scoring",
        "banks": ("alfa",),
        "holders": HOLDERS,
        "institution": "tax",
        "role": "tax",
        "values": 512,
    }
    return ModelPart(**said | more)


@pytest.mark.parametrize("holders", [1, 2, 3, 5])
def test_counts_of_ages_are_as_many_as_there_are(holders):
    every = itertools.product(range(AGE_CLASSES), repeat=holders)
    assert age_counts(holders) == len({tuple(sorted(classes)) for classes in every})
    assert len(AGES) == AGE_CLASSES


def test_ages_are_more_than_the_points():
    told = told_bits(part(), "several")
    assert (told.points, told.ages) == (9.0, math.log2(20))
    assert told.answer == pytest.approx(13.32, abs=0.01)
    assert told_bits(part(), "never").answer == 9.0
    assert told_bits(part(holders=HOLDERS[:2]), "several").ages == 0
    assert told_bits(part(holders=HOLDERS[:2]), "always").ages == math.log2(10)


def test_each_theme_has_bits_of_its_own():
    sums = tuple(GivenSum(name=name) for name in ("a", "b", "rest"))
    assert told_bits(part(sums=sums, values=8), "never").answer == 9.0
    assert told_bits(part(sums=sums, values=101, index=ServedIndex()), "always").answer == 3 * math.log2(101)


def test_what_gives_no_points_has_none():
    assert told_bits(part(values=None), "always") is None


def test_a_bank_reckons_with_the_most_and_a_holder_with_its_own_rule():
    assert [ages_rule(part(), name, "never") for name in ("tax", "alfa")] == ["never", "always"]


@pytest.mark.parametrize("rule", ["never", "several", "always"])
@pytest.mark.parametrize("holders", [HOLDERS, HOLDERS[:2]])
@pytest.mark.parametrize("index", [None, ServedIndex()])
def test_bits_of_ages_are_stated_where_ages_are_given(rule, holders, index):
    one, policy = part(holders=holders, index=index), Policy.model_validate({"serving": {"ages": rule}})
    given = KINDS["scorecard"].columns(one, policy, 1)
    assert set(AGES).issubset(given) == (told_bits(one, rule).ages > 0)
