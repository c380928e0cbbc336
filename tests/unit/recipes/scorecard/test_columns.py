"""Columns that a study counts: by public numbers alone, weak ones left out first, and never silently."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.recipes.scorecard.columns import (
    COLUMN_ROOM,
    LEAST_COLUMNS,
    check_gram,
    choose_columns,
    gram_columns,
    most_columns,
    room_for_gain,
)
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.report.words import sentence
from support.studies import study

STRENGTHS = (None, "strong", "medium", "weak")


def flag(role, k, strength=None):
    return Feature(institution=role, column=f"c{k}", kind="flag", strength=strength)


def declared(*strengths, role="bank"):
    return [flag(role, k, s) for k, s in enumerate(strengths)]


def small(rate=0.03, epsilon=1.0):
    """A study of 100 expected positives for each 3,333 training rows at the default rate."""
    asked = study(epsilon=epsilon)
    return asked.model_copy(
        update={"expected": asked.expected.model_copy(update={"default_rate": rate, "enterprises": None})}
    )


def names(counted):
    return [f.column for f in counted.features]


def test_so_many_columns_leave_each_count_its_room():
    """By hand: 420 positives at mu .25 are a signal of 105, and 105 by 15 is 7: 49 columns have room 15 each."""
    assert most_columns(420, 0.25) == 49
    assert room_for_gain(420, 0.25, 49) == pytest.approx(COLUMN_ROOM)
    assert most_columns(10, 0.1) == LEAST_COLUMNS


def test_weak_columns_go_first_and_the_last_of_them_first():
    columns = declared("weak", None, "weak", "medium", None, None, "weak", "medium")
    counted = choose_columns(small(), columns, 100.0, 0.1)
    assert names(counted) == ["c1", "c3", "c4", "c5", "c7"]
    (found,) = counted.findings
    assert found.code == "columns_left_out"
    assert found.values["names"] == "bank.c0, bank.c2, bank.c6"
    more = choose_columns(small(), [*columns[:5], *columns[6:]], 100.0, 0.1)
    assert names(more) == ["c0", "c1", "c3", "c4", "c7"]


def test_beside_strong_columns_the_others_go_too_and_strong_ones_stay():
    columns = declared("weak", "strong", None, "medium", "strong", None, "medium", "weak")
    assert names(choose_columns(small(), columns, 100.0, 0.1)) == ["c1", "c2", "c3", "c4", "c5"]
    strong = declared(*["strong"] * 7, None)
    counted = choose_columns(small(), strong, 100.0, 0.1)
    assert names(counted) == [f"c{k}" for k in range(7)]
    assert [f.code for f in counted.findings] == ["columns_left_out", "columns_too_many"]


def test_where_nothing_is_declared_all_stay_and_it_is_said():
    counted = choose_columns(small(), declared(*[None] * 9), 100.0, 0.1)
    assert names(counted) == [f"c{k}" for k in range(9)]
    (found,) = counted.findings
    assert (found.code, found.values["most"], found.values["counted"]) == (
        "columns_too_many",
        LEAST_COLUMNS,
        9,
    )
    text = sentence(found)
    assert "9 columns are counted" in text and "can bear 5" in text
    assert all(remedy in text for remedy in ("strength", "fewer columns", "epsilon", "enterprises"))


def test_each_institution_keeps_a_column():
    """A holder without a counted column could give no score."""
    columns = [*declared(*["strong"] * 6), *declared("weak", "weak", role="tax"), flag("power", 0, "weak")]
    counted = choose_columns(small(), columns, 100.0, 0.1)
    assert [f.name for f in counted.features][6:] == ["tax.c0", "power.c0"]


@pytest.mark.parametrize(
    ("rate", "training", "mu"), [(None, 100.0, 0.1), (0.03, None, 0.1), (0.03, 100.0, math.inf)]
)
def test_without_declared_sizes_or_without_noise_nothing_is_left_out(rate, training, mu):
    columns = declared(*["weak"] * 9)
    counted = choose_columns(small(rate), columns, training, mu)
    assert (counted.features, counted.findings) == (tuple(columns), ())


@given(
    st.lists(st.tuples(st.sampled_from(["bank", "tax", "power"]), st.sampled_from(STRENGTHS)), min_size=1),
    st.floats(10, 1e5),
    st.floats(0.01, 1),
)
def test_whatever_is_declared(said, training, mu):
    """Order stays, strong ones stay, every institution stays, and whatever is left out is named."""
    columns = [flag(role, k, s) for k, (role, s) in enumerate(said)]
    counted = choose_columns(small(), columns, training, mu)
    kept = set(counted.features)
    assert counted.features == tuple(f for f in columns if f in kept)
    assert {f for f in columns if f.strength == "strong"} <= kept
    assert {f.institution for f in kept} == {f.institution for f in columns}
    gone = ", ".join(f.name for f in columns if f not in kept)
    said_gone = [f.values["names"] for f in counted.findings if f.code == "columns_left_out"]
    assert said_gone == ([gone] if gone else [])
    assert len(kept) >= min(len(columns), most_columns(training * 0.03, mu))


def test_a_plan_counts_what_it_chose_and_says_so():
    """The noise of a count is that of the columns which are left."""
    columns = declared(*["weak"] * 12, *["strong"] * 4)
    asked = small()
    plan, all_of_them = make_plan(asked, columns, 5000), make_plan(asked, columns)
    assert [f.column for f in plan.features] == ["c0", "c12", "c13", "c14", "c15"]
    assert [f.code for f in plan.findings] == ["columns_left_out"]
    assert plan.price == all_of_them.price and not all_of_them.findings
    ratio = all_of_them.find("counts").deviation[0] / plan.find("counts").deviation[0]
    assert ratio == pytest.approx(math.sqrt(16 / 5), rel=0.01)


def numbers(role, count):
    return [
        Feature(institution=role, column=f"c{k}", low=0.0, high=1.0, bin_count=8, bins=None)
        for k in range(count)
    ]


@pytest.mark.parametrize(
    ("bank", "tax", "whose"), [(1449, 0, "bank"), (1025, 1025, "bank and tax"), (10, 1449, "tax")]
)
def test_a_gram_matrix_that_no_message_holds_is_refused_before_anything_is_charged(bank, tax, whose):
    """Four columns of a number: 1,448 of them have 16,770,736 pairs, fewer than 2^24; 4,096 x 4,096 are just taken."""
    asked = study(epsilon=1.0)
    with pytest.raises(ConfigError, match=f"its block of {whose} .*scorecard.left_out.*recount"):
        make_plan(asked, [*numbers("bank", bank), *numbers("tax", tax), *numbers("power", 1)])
    fewer = [*numbers("bank", min(bank, 1024)), *numbers("tax", min(tax, 1024)), *numbers("power", 1)]
    check_gram(asked, fewer)
    again = asked.model_copy(update={"settings": {**asked.settings, "second": "recount"}})
    make_plan(again, [*numbers("bank", bank), *numbers("tax", tax), *numbers("power", 1)])


def test_few_bins_have_few_columns_in_the_gram_matrix():
    """As models/curves.shape_bases: the curve, and a mode for each bin beyond two, three at most."""
    three = Feature(institution="bank", column="late", low=0.0, high=9.0, bins=(0.5, 1.5), missing=False)
    assert gram_columns(three) == 2
    assert gram_columns(flag("bank", 1)) == 2  # a bin for gaps
    assert gram_columns(Feature(institution="bank", column="g", kind="category", bins=tuple("ABCDEFG"))) == 4
