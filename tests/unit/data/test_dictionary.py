"""Dictionaries: the rules of columns, readable errors, digests and the comparison of two banks."""

import copy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.dictionary import Dictionary, load_dictionary
from fedrisk.data.text import canonical
from fedrisk.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs" / "institutions"


def number(name="age", **more):
    return {"name": name, "kind": "number", "meaning": "m", "low": 0, "high": 10, **more}


def make(*columns, **more):
    return load_dictionary({"id": "id", "columns": list(columns), **more})


def refused(*columns, **more):
    with pytest.raises(ConfigError) as caught:
        make(*columns, **more)
    return str(caught.value)


def test_bins_may_be_edges_or_a_number():
    assert make(number(bins=[1, 2.5])).columns[0].bins == (1.0, 2.5)
    counted = make(number(bins=12)).columns[0]
    assert (counted.bins, counted.bin_count) == (None, 12)
    bare = make(number()).columns[0]
    assert (bare.bins, bare.bin_count) == (None, None)


@pytest.mark.parametrize(
    ("column", "rule", "remedy"),
    [
        ({"name": "x", "kind": "number", "meaning": "m"}, "public bounds", "low and high"),
        (number("x", low=10, high=10), "must be below", "swap or widen"),
        (number("x", low=None), "given together", "add the other bound"),
        (number("x", bins=[3, 3]), "strictly increasing", "remove repeated"),
        (number("x", bins=[0, 3]), "strictly between", "remove the edges outside"),
        (number("x", bins=[]), "0 edges", "merge bins"),
        (number("x", bins=1), "bin_count", "at least 2"),
        (number("x", bins=[1], bin_count=4), "exclude each other", "remove one"),
        (number("x", monotone="increasing", direction="increasing"), "exclude each other", "keep direction"),
        (number("x", direction="up"), "direction", "one of increasing, decreasing"),
        (
            {"name": "x", "kind": "flag", "meaning": "m", "direction": "increasing"},
            "direction is for",
            "remove",
        ),
        (number("x", categories=["a"]), 'kind "category"', "remove it"),
        (number("x", high=float("inf")), "high", "finite"),
        ({"name": "x", "kind": "category", "meaning": "m"}, "public list", "categories"),
        (
            {"name": "x", "kind": "category", "meaning": "m", "categories": ["a", "a"]},
            "repeats 'a'",
            "remove the repetition",
        ),
        (
            {"name": "x", "kind": "category", "meaning": "m", "categories": ["abc"], "prefix": 2},
            "longer than prefix = 2",
            "shorten",
        ),
        ({"name": "x", "kind": "flag", "meaning": "m", "low": 0}, "low is for kind", "remove it"),
        ({"name": "x", "kind": "flag", "meaning": "m", "grid": "log"}, "grid", "remove it"),
        ({"name": "x", "kind": "date", "meaning": "m"}, "never a feature", "feature = false"),
        ({"name": "x", "kind": "number", "low": 0, "high": 1}, "meaning", "is missing; add it"),
        (number("x", strength="huge"), "strength", "one of strong, medium, weak"),
        (
            number("x", strength="weak", feature=False),
            "strength is for columns that models may use",
            "remove it",
        ),
        (number("x", higth=3), "higth: is not a known key", 'did you mean "high"?'),
    ],
)
def test_each_rule_names_column_rule_and_remedy(column, rule, remedy):
    text = refused(column)
    assert 'column "x"' in text
    assert rule in text
    assert remedy in text


def test_all_problems_come_at_once():
    text = refused(number("a", low=5, high=1), number("b", bins=[2, 1]), {"name": "c", "kind": "category"})
    assert all(f'column "{name}"' in text for name in "abc")
    assert int(text.split(": ")[1].split()[0]) == text.count("\n  - ") >= 3


def test_rules_of_the_whole():
    assert "used 2 times" in refused(number("a"), number("a"))
    assert "not credit codes" in refused(number(), id="@row")
    assert "not a date column" in refused(number(), as_of="day")
    label = {"column": "y", "positive": [1], "negative": [0], "horizon": "h"}
    assert "reads the label as a feature" in refused(number("a", source="y"), label=label)
    assert "reads the id as a feature" in refused(number("id"))
    assert "at least one column" in refused()
    assert "share '1'" in refused(number(), label={**label, "negative": ["1.0"]})
    assert "together or not at all" in refused(number(), label={**label, "negative": []})
    assert make(label=label).features == ()


def test_files(tmp_path):
    file = tmp_path / "bank.toml"
    file.write_text(
        'name = "bank"\n[dictionary]\nid = "i"\n'
        '[[dictionary.columns]]\nname = "f"\nkind = "flag"\nmeaning = "m"\n'
    )
    assert load_dictionary(file).column("f").kind == "flag"
    with pytest.raises(ConfigError, match='column "g" is not in the dictionary'):
        load_dictionary(file).column("g")
    file.write_text("id = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_dictionary(file)
    with pytest.raises(ConfigError, match="does not exist"):
        load_dictionary(tmp_path / "none.toml")


FULL = {
    "id": "uscc",
    "columns": [
        number("a", unit="yuan", source="A_IN_HOUSE", missing_values=[-9]),
        {"name": "b", "kind": "category", "meaning": "m", "categories": ["x", "y"]},
    ],
    "label": {"column": "Y_IN_HOUSE", "positive": ["BAD"], "negative": ["GOOD"], "horizon": "12 months"},
}


def test_a_meaning_in_chinese_is_public_and_dictionaries_without_it_are_as_before():
    plain = {"name": "late", "kind": "flag", "meaning": "was late"}
    one, two = (
        load_dictionary({"id": "id", "columns": [{**plain, **more}]})
        for more in ({}, {"meaning_zh": "曾逾期"})
    )
    assert "meaning_zh" not in one.public()["columns"][0]
    assert two.public()["columns"][0]["meaning_zh"] == "曾逾期"
    assert one.public_digest() != two.public_digest()
    with pytest.raises(ConfigError, match="meaning_zh says"):
        load_dictionary({"id": "id", "columns": [{**plain, "meaning_zh": "FILL IN: 含义"}]})


def test_digest_covers_the_public_parts_and_only_these():
    digest = load_dictionary(FULL).public_digest()
    # Fixed for ever: institutions compare digests that different machines and versions made.
    assert digest == load_dictionary(copy.deepcopy(FULL)).public_digest()
    assert len(digest) == 64
    inhouse = copy.deepcopy(FULL)
    inhouse["id"] = "code"
    inhouse["columns"][0]["source"] = "other"
    inhouse["columns"][0]["missing_values"] = []
    inhouse["label"]["positive"] = ["B"]
    assert load_dictionary(inhouse).public_digest() == digest
    for path, value in [("high", 11), ("unit", "euro"), ("meaning", "other"), ("grid", "log"), ("bins", 9)]:
        changed = copy.deepcopy(FULL)
        changed["columns"][0][path] = value
        assert load_dictionary(changed).public_digest() != digest
    public = str(load_dictionary(FULL).public())
    assert not any(word in public for word in ("IN_HOUSE", "BAD", "GOOD", "-9"))


@given(st.integers(-(10**12), 10**12))
def test_a_code_has_one_spelling(value):
    assert canonical(value) == canonical(float(value)) == canonical(f" {value} ") == canonical(f"{value}.0")


def test_the_strength_of_a_column_is_public():
    a, b = (load_dictionary({"id": "id", "columns": [number(strength=s)]}) for s in ("strong", "weak"))
    assert a.public_digest() != b.public_digest()
    assert a.public()["columns"][0]["strength"] == "strong"


def test_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_dictionary(FULL).id = "x"


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda f: f.stem)
def test_shipped_dictionaries_load(file):
    assert isinstance(load_dictionary(file), Dictionary)


def test_the_six_lenders_have_the_same_dictionary():
    lenders = [load_dictionary(f) for f in sorted(CONFIGS.glob("sba_*.toml"))]
    assert len(lenders) == 6
    assert all(d == lenders[0] for d in lenders)
    sources = {c.table_name for c in lenders[0].features}
    assert not sources & {"Term", "ChgOffDate", "ChgOffPrinGr", "DisbursementDate", "MIS_Status"}


SPECIAL = {"-9": "no record", "-8.0": "no usable trade"}


def test_special_codes_keep_their_order_and_have_one_spelling(tmp_path):
    kept = (("-9", "no record"), ("-8", "no usable trade"))
    assert make(number("x", special=SPECIAL)).column("x").special == kept
    assert make(number("x", special={-9: "no record", -8.0: "no usable trade"})).column("x").special == kept
    assert make(number("x", special=[list(pair) for pair in kept])).column("x").special == kept
    file = tmp_path / "d.toml"
    file.write_text(
        'id = "i"\n[[columns]]\nname = "x"\nkind = "number"\nmeaning = "m"\nlow = 0\nhigh = 9\n'
        'special = { "-9" = "no record", "-8.0" = "no usable trade" }\n'
    )
    assert load_dictionary(file).column("x").special == kept


@pytest.mark.parametrize(
    ("change", "rule", "remedy"),
    [
        ({"special": {"-9": 3}}, "codes and their meanings as texts", "every code in quotes"),
        ({"special": {"-9": {"5": "m"}}}, "codes and their meanings as texts", "every code in quotes"),
        ({"special": ["-9"]}, "codes and their meanings as texts", "every code in quotes"),
        ({"special": "-9"}, "codes and their meanings as texts", "every code in quotes"),
        ({"special": SPECIAL, "missing_values": [-8]}, "share '-8'", "remove it from one of them"),
        ({"special": SPECIAL, "missing_values": [" -9.0"]}, "share '-9'", "remove it from one of them"),
        ({"special": {"3": "m"}}, "strictly within the public bounds", "begin or end at the code"),
        ({"special": {"-9": "m", "-9.0": "n"}}, "given twice", "remove one"),
    ],
)
def test_special_codes_that_contradict_are_refused(change, rule, remedy):
    text = refused(number("x", **change))
    assert 'column "x": ' in text
    assert rule in text
    assert remedy in text


def test_special_codes_are_public():
    plain, coded = make(number("x")), make(number("x", special=SPECIAL))
    assert "special" not in plain.public()["columns"][0]  # digests from before there were codes stay
    assert coded.public()["columns"][0]["special"] == [["-9", "no record"], ["-8", "no usable trade"]]
    turned = make(number("x", special=dict(reversed(SPECIAL.items()))))  # their order is that of the bins
    assert len({d.public_digest() for d in (plain, coded, turned)}) == 3
