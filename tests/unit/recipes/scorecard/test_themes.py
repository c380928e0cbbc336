"""Which sums of points a bank is given: themes where policies allow them, and nobody left alone in the rest."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.features import KNOWN, Feature, known_feature, pair_feature
from fedrisk.errors import ConfigError
from fedrisk.protocol.statements import Statement
from fedrisk.recipes import study_from
from fedrisk.recipes.scorecard.settings import check_members
from fedrisk.recipes.scorecard.themes import REST, numbers_of, said_of, score_sums, values_of_each

HOLDERS = ("grid", "power", "staff", "tax")


def study(themes=None, holders=HOLDERS):
    section = {} if themes is None else {"scorecard": {"themes": themes}}
    return study_from(
        {
            "name": "s",
            "purpose": "credit_scoring",
            "privacy": {"epsilon": 1.0},
            "institutions": [
                {"name": "bank", "role": "bank"},
                *({"name": h, "role": "holder"} for h in holders),
            ],
            **section,
        }
    )


def features(**columns):
    return [
        Feature(institution=h, column=f"c{k}", low=0, high=1) for h, n in columns.items() for k in range(n)
    ]


def said(allow, holders=HOLDERS, band_columns=3, score_values=512):
    rules = {"band_columns": band_columns, "score_values": score_values}
    return {h: SimpleNamespace(score_themes=h in allow, **rules) for h in holders}


def names(sums):
    return {s.name: {h: len(c - {KNOWN}) for h, c in s.columns.items()} for s in sums}


FOUR = {"grid": 3, "power": 4, "staff": 5, "tax": 6}


@pytest.mark.parametrize("themes", [None, "holders", {"energy": ["grid", "power"]}])
def test_one_number_unless_policies_allow_more(themes):
    (one,) = score_sums(study(themes), features(**FOUR), said(()))
    assert one.name == REST and names([one]) == {REST: FOUR}
    assert all(KNOWN in columns for columns in one.columns.values())


def test_no_sum_without_holders():
    assert score_sums(study(holders=()), [], {}) == ()


@pytest.mark.parametrize(
    ("themes", "allow", "expected"),
    [
        # Every holder its own theme where all allow it.
        ("holders", HOLDERS, {h: {h: n} for h, n in FOUR.items()}),
        # Two that do not allow it hide each other.
        ("holders", ("grid", "tax"), {"grid": {"grid": 3}, "tax": {"tax": 6}, REST: {"power": 4, "staff": 5}}),
        # One that does not would be the total less all themes: the last theme goes into the rest with it.
        ("holders", ("grid", "power", "staff"), {"grid": {"grid": 3}, "power": {"power": 4}, REST: {"staff": 5, "tax": 6}}),
        # A kind of holders is a theme; of those that do not allow it the points stay in the rest.
        ({"energy": ["grid", "power"]}, ("grid", "power"), {"energy": {"grid": 3, "power": 4}, REST: {"staff": 5, "tax": 6}}),
        ({"energy": ["grid", "power"]}, ("grid",), {"energy": {"grid": 3}, REST: {"power": 4, "staff": 5, "tax": 6}}),
        # A single holder in the rest that allows it may stay there.
        (
            {"energy": ["grid", "power"], "work": ["staff"]},
            HOLDERS,
            {"energy": {"grid": 3, "power": 4}, "work": {"staff": 5}, REST: {"tax": 6}},
        ),
        # Columns of a holder: three are a theme, two are not.
        ({"vat": ["tax.c0", "tax.c1", "tax.c2"]}, ("tax",), {"vat": {"tax": 3}, REST: {**FOUR, "tax": 3}}),
        ({"vat": ["tax.c0", "tax.c1"]}, ("tax",), {REST: FOUR}),
        ({"all": ["tax"], "vat": ["tax.c0", "tax.c1", "tax.c2"]}, ("tax",), {"all": {"tax": 3}, "vat": {"tax": 3}, REST: {"grid": 3, "power": 4, "staff": 5}}),
    ],
)  # fmt: skip
def test_themes(themes, allow, expected):
    assert names(score_sums(study(themes), features(**FOUR), said(allow))) == expected


def test_a_holder_with_few_columns_hides_nobody():
    """Power does not allow themes; beside it in the rest is grid with two columns, so no theme is left."""
    columns = {"grid": 2, "power": 4, "staff": 5, "tax": 6}
    found = names(score_sums(study("holders"), features(**columns), said(("staff", "tax"))))
    assert found == {"staff": {"staff": 5}, REST: {"grid": 2, "power": 4, "tax": 6}}
    columns |= {"staff": 2, "tax": 2}
    found = names(score_sums(study("holders"), features(**columns), said(("staff", "tax"), band_columns=3)))
    assert found == {REST: columns}


@given(
    st.sets(st.sampled_from(HOLDERS)),
    st.dictionaries(st.sampled_from(HOLDERS), st.integers(1, 7), min_size=4),
    st.integers(1, 4),
    st.sampled_from(["holders", {"energy": ["grid", "power"], "work": ["staff"]}, {"a": ["tax.c0", "tax.c2", "tax.c3"]}]),
)  # fmt: skip
def test_nobody_is_given_against_its_policy(allow, columns, band_columns, themes):
    """Every column is in exactly one sum, and what a holder does not allow is never alone where others could hide it."""
    if isinstance(themes, dict) and "a" in themes:
        columns["tax"] = max(columns["tax"], 4)
    every = features(**columns)
    sums = score_sums(study(themes), every, said(allow, band_columns=band_columns))
    found = [(h, c) for s in sums for h, inside in s.columns.items() for c in inside]
    assert len(found) == len(set(found)) == len(every) + len(HOLDERS)
    for one in sums:
        closed = set(one.holders) - allow
        if one.name != REST:
            assert not closed and all(len(c - {KNOWN}) >= band_columns for c in one.columns.values())
        elif closed and len(sums) > 1:
            assert sum(len(c - {KNOWN}) >= band_columns for c in one.columns.values()) >= 2


@given(st.integers(16, 1 << 16), st.integers(1, 10))
def test_several_numbers_take_no_more_values_together(values, numbers):
    each = values_of_each(values, numbers)
    assert each >= 2 and (each**numbers <= values or each == 2)
    assert (each + 1) ** numbers > values


def test_a_holder_is_in_no_more_sums_than_its_values_bear():
    """Sixteen values are four numbers of two: three themes and what is left over, the first by name."""
    themes = {t: [f"tax.c{3 * k + j}" for j in range(3)] for k, t in enumerate("dcba")}
    sums = score_sums(study(themes, ("tax",)), features(tax=13), said(("tax",), ("tax",), score_values=16))
    assert names(sums) == {t: {"tax": 3} for t in "abc"} | {REST: {"tax": 4}}
    assert values_of_each(16, numbers_of(sums, "tax")) ** numbers_of(sums, "tax") <= 16


def test_numbers_of_a_holder():
    sums = score_sums(study({"vat": ["tax.c0", "tax.c1", "tax.c2"]}), features(**FOUR), said(("tax",)))
    assert [numbers_of(sums, h) for h in ("tax", "grid")] == [2, 1]


def test_what_is_not_given_by_itself_is_said():
    asked = study({"energy": ["grid", "power"], "work": ["staff"]})
    sums = score_sums(asked, features(**FOUR), said(("grid", "power")))
    given, missing = said_of(asked, sums)
    assert (given.code, given.values) == (
        "themes_given",
        {"number": 2, "sums": "energy (grid + power), rest (staff + tax)"},
    )
    assert (missing.code, missing.values) == ("themes_together", {"themes": "work"})
    assert said_of(study(), score_sums(study(), features(**FOUR), said(()))) == ()


@pytest.mark.parametrize(
    ("themes", "words"),
    [
        ({"a": ["bank"]}, "bank is no holder of this study"),
        ({"a": ["tax"], "b": ["tax"]}, "tax is named twice"),
        ({"rest": ["tax"]}, "rest is the sum of all"),
        ({"a": ["tax.c9"]}, "tax.c9 is no column of this study"),
    ],
)
def test_themes_that_name_nothing_are_refused(themes, words):
    with pytest.raises(ConfigError, match=words):
        check_members(study(themes), features(bank=1, **FOUR))


def test_a_study_without_themes_keeps_its_digest():
    assert "themes" not in study().settings
    assert study().digest() != study("holders").digest()


def test_statements_are_as_before_where_no_theme_is_asked_for():
    plain = Statement(role="holder")
    assert not {"score_themes", "band_columns"} & set(plain.model_dump(mode="json"))
    asked = Statement(role="holder", score_themes=True, band_columns=2)
    assert Statement.model_validate(asked.model_dump(mode="json")) == asked


def test_what_a_card_has_besides_columns_is_in_one_sum():
    """Pairs with what they tell of, in the rest where that is; whether the holder knows an enterprise in one sum."""
    asked = study({"vat": ["tax.c0", "tax.c1", "tax.c2"]})
    vat, rest = score_sums(asked, features(**FOUR), said(("tax",)))
    columns = [SimpleNamespace(column=c, kind="number") for c in ("c0", "c1", "c2", "c3", "c4", "c5")]
    pairs = [pair_feature("tax", *ends) for ends in (("c0", "c3"), ("c3", "c0"), ("c0", "c1"), ("c4", "c5"))]
    found = [*columns, known_feature("tax"), *pairs]
    card = SimpleNamespace(
        bins=[SimpleNamespace(feature=f) for f in found],
        features_of=lambda holder: list(range(len(found))),
    )
    assert (vat.places(card, "tax"), rest.places(card, "tax")) == ([0, 1, 2, 9], [3, 4, 5, 6, 7, 8, 10])
