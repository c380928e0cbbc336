"""Features: what a dictionary makes of its columns, and which parts contradict each other."""

import json
from dataclasses import asdict, replace

import pytest

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.features import KNOWN, Feature, features_from, features_of, known_feature, rising
from fedrisk.errors import ConfigError


def number(**parts):
    return Feature(**{"institution": "bank", "column": "x", "low": 0.0, "high": 100.0, **parts})


DICTIONARY = load_dictionary(
    {
        "id": "id",
        "id_scheme": "opaque",
        "columns": [
            {
                "name": "age",
                "kind": "number",
                "meaning": "m",
                "low": 18,
                "high": 80,
                "bins": 8,
                "missing": "refuse",
            },
            {"name": "code", "kind": "number", "meaning": "m", "bins": [1.0, 2.0], "monotone": "increasing"},
            {"name": "use", "kind": "number", "meaning": "m", "bins": [0.5], "direction": "decreasing"},
            {
                "name": "town",
                "kind": "category",
                "meaning": "m",
                "categories": ["a", "b"],
                "missing": "refuse",
            },
            {"name": "open", "kind": "flag", "meaning": "m"},
            {"name": "day", "kind": "date", "meaning": "m", "feature": False},
            {"name": "note", "kind": "flag", "meaning": "m", "feature": False},
        ],
    }
)


def test_features_of_a_bank_and_of_a_holder_by_hand():
    bank = features_of(DICTIONARY, "bank")
    assert bank == (
        Feature(institution="bank", column="age", low=18, high=80, bin_count=8, missing=False),
        Feature(institution="bank", column="code", bins=(1.0, 2.0), monotone="increasing"),
        Feature(institution="bank", column="use", bins=(0.5,), direction="decreasing"),
        Feature(institution="bank", column="town", kind="category", bins=("a", "b"), missing=False),
        Feature(institution="bank", column="open", kind="flag"),
    )
    # A gap in a column is one thing, an enterprise that a holder does not know another: the dictionary states the first.
    assert features_of(DICTIONARY, "tax") == tuple(replace(f, institution="tax") for f in bank)
    assert [f.name for f in bank] == ["bank.age", "bank.code", "bank.use", "bank.town", "bank.open"]


def test_whether_a_holder_knows_an_enterprise_is_no_column_and_has_no_gaps():
    known = known_feature("tax")
    assert (known.institution, known.column, known.kind, known.missing) == ("tax", KNOWN, "known", False)
    assert (known.name, known.leaning, known.private_edges, known.special) == ("tax.(known)", 0, False, ())
    for parts in ({"bins": (0.5,)}, {"special": (("9", "m"),)}):
        with pytest.raises(ConfigError):
            replace(known, **parts)


def test_public_edges_take_the_place_of_private_ones():
    before = number(bin_count=8, strength="weak", grid="log")
    after = before.with_bins((1.0, 10.0))
    assert after == number(bins=(1.0, 10.0), strength="weak", grid="log")
    assert before.private_edges and not after.private_edges


def test_the_strength_of_a_column_is_public():
    column = {"name": "x", "kind": "flag", "meaning": "m", "strength": "weak"}
    (found,) = features_of(load_dictionary({"id": "id", "columns": [column]}), "tax")
    assert found.strength == "weak"


def test_only_a_number_without_public_bins_has_private_edges():
    assert [f.private_edges for f in features_of(DICTIONARY, "bank")] == [True, False, False, False, False]


def test_which_way_risk_is_stated_to_lean():
    assert [f.leaning for f in features_of(DICTIONARY, "bank")] == [0, 1, -1, 0, 0]


def test_features_survive_json():
    features = list(features_of(DICTIONARY, "bank"))
    assert features_from(json.loads(json.dumps([asdict(f) for f in features]))) == features


@pytest.mark.parametrize(
    ("edges", "expected"),
    [([], True), ([1.0], True), ([1, 2], True), ([2, 1], False), ([1, float("inf")], False)],
)
def test_rising(edges, expected):
    assert rising(edges) is expected


@pytest.mark.parametrize(
    "parts",
    [
        {"low": None},
        {"low": 5.0, "high": 5.0},
        {"low": float("-inf")},
        {"bins": (2.0, 1.0)},
        {"bins": ("a",)},
        {"kind": "category"},
        {"kind": "category", "bins": ("a", "a")},
        {"kind": "category", "bins": ("a",), "monotone": "increasing"},
        {"kind": "flag", "bins": (0.5,)},
        {"kind": "date"},
        {"grid": "square"},
        {"monotone": "up"},
        {"strength": "huge"},
        {"direction": "up"},
        {"monotone": "increasing", "direction": "increasing"},
        {"kind": "category", "bins": ("a",), "direction": "increasing"},
    ],
)
def test_contradictory_features_are_refused(parts):
    with pytest.raises(ConfigError):
        number(**parts)


CODED = {
    "id": "id",
    "id_scheme": "opaque",
    "columns": [
        {"name": "x", "kind": "number", "meaning": "m", "low": 0, "high": 9, "special": {"-9": "no record"}},
        {"name": "f", "kind": "flag", "meaning": "m", "special": {"9": "not stated"}},
    ],
}


def test_special_codes_are_of_the_features_and_survive_json():
    features = list(features_of(load_dictionary(CODED), "tax"))
    assert [f.special for f in features] == [(("-9", "no record"),), (("9", "not stated"),)]
    stated = json.loads(json.dumps([vars(f) for f in features]))
    assert features_from(stated) == features
    older = [{k: v for k, v in f.items() if k != "special"} for f in stated]
    assert [f.special for f in features_from(older)] == [(), ()]


@pytest.mark.parametrize(
    "special",
    [
        [["-9"]],
        [["-9", "a", "b"]],
        [[-9, "a"]],
        ["-9"],
        5,
        [["5", "within"]],
        [["-9", "missing"]],
        [["x", "m"]],
    ],
)
def test_special_codes_that_are_stated_wrongly_are_refused(special):
    stated = json.loads(json.dumps(asdict(number())))
    with pytest.raises(ConfigError):
        features_from([{**stated, "special": special}])


def test_no_column_takes_the_name_of_whether_a_holder_knows_an_enterprise():
    with pytest.raises(ConfigError, match="rename it"):
        Feature(institution="tax", column="(known)", kind="flag")
    with pytest.raises(ConfigError, match="rename it"):
        Feature(institution="tax", column="k", kind="known")
    assert known_feature("tax").kind == "known"
