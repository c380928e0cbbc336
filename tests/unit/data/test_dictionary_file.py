"""Changes to a dictionary's text: comments stay, nothing else changes, and what cannot be changed safely is refused."""

import tomllib
from contextlib import nullcontext

import pytest

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.dictionary_file import confirmed, declared, entries, replaced
from fedrisk.errors import ConfigError

TEXT = """\
# of the bank
name = "b"
kind = "bank"

[table]
source = "t.csv"  # the table

[dictionary]
id = "uscc"

[[dictionary.columns]]
name = "sales"
kind = "number"
meaning = "sales # CONFIRM is part of this text"
low = 0  # CONFIRM: rounded
high = 1000  # CONFIRM: rounded
direction = "decreasing"  # from the name
drafted = true

# about the sector
[[dictionary.columns]]
name = "行业"
kind = "category"
meaning = "sector"
categories = ["a", "b"]  # CONFIRM
drafted = true

[dictionary.label]
column = "bad"
positive = [1]
negative = [0]
horizon = "FILL IN: over which time"
drafted = true

# Left out: note
"""
BY = {"by": "li.wei", "day": "2026-01-31"}


def dictionary(text):
    return tomllib.loads(text)["dictionary"]


def column(text, name):
    return next(c for c in dictionary(text)["columns"] if c["name"] == name)


def test_entries_are_columns_and_the_label():
    found = entries(TEXT)
    assert [(e.name, e.drafted, e.unwritten) for e in found] == [
        ("sales", True, ()),
        ("行业", True, ()),
        ("label", True, ("horizon",)),
    ]


def test_confirming_takes_marks_away_and_says_who_and_when():
    text = confirmed(TEXT, ["sales"], **BY)
    assert "# confirmed by li.wei on 2026-01-31" in text
    assert "low = 0\nhigh = 1000\n" in text
    assert column(text, "sales") == {k: v for k, v in column(TEXT, "sales").items() if k != "drafted"}
    assert column(text, "行业")["drafted"]
    # Comments of others, and the mark within a text, stay.
    for kept in ("# of the bank", "# the table", "# from the name", "# about the sector", "# Left out: note"):
        assert kept in text
    assert column(text, "sales")["meaning"] == "sales # CONFIRM is part of this text"


def test_nothing_is_confirmed_while_something_is_to_be_filled_in():
    with pytest.raises(ConfigError, match=r"label: horizon still says .*declare FILE label horizon="):
        confirmed(TEXT, None, **BY)
    text = declared(TEXT, "label", {"horizon": "12 months"}, **BY)
    text = confirmed(text, None, **BY)
    assert not [e for e in entries(text) if e.drafted]
    assert load_dictionary(dictionary(text)).label.horizon == "12 months"


def test_unknown_columns_are_named():
    with pytest.raises(ConfigError, match=r'no column "saels".*sales, 行业, label'):
        confirmed(TEXT, ["saels"], **BY)


def test_declaring_sets_adds_and_takes_away_keys():
    text = declared(TEXT, "sales", {"high": 5000, "direction": None, "special": {"-9": "no record"}}, **BY)
    assert column(text, "sales") == {
        "name": "sales",
        "kind": "number",
        "meaning": "sales # CONFIRM is part of this text",
        "low": 0,
        "high": 5000,
        "special": {"-9": "no record"},
    }
    assert "# declared by li.wei on 2026-01-31" in text
    assert column(text, "行业") == column(TEXT, "行业")


def test_another_kind_leaves_keys_of_the_old_one_behind():
    text = declared(TEXT, "sales", {"kind": "category", "categories": ["1", "2"]}, **BY)
    assert set(column(text, "sales")) == {"name", "kind", "meaning", "categories"}
    text = declared(TEXT, "行业", {"kind": "date"}, **BY)
    assert column(text, "行业") == {"name": "行业", "kind": "date", "meaning": "sector", "feature": False}


def test_a_constraint_takes_the_place_of_an_expectation():
    text = declared(TEXT, "sales", {"monotone": "decreasing"}, **BY)
    assert "direction" not in column(text, "sales")


def test_a_column_that_is_not_there_is_added_before_the_label():
    text = declared(TEXT, "branch", {"kind": "category", "categories": ["01"], "prefix": 2}, **BY)
    assert [c["name"] for c in dictionary(text)["columns"]] == ["sales", "行业", "branch"]
    assert dictionary(text)["label"] == dictionary(TEXT)["label"]
    assert "# Left out: note" in text
    # To a dictionary without columns as well.
    bare = 'id = "uscc"\n'
    assert tomllib.loads(declared(bare, "x", {"low": 0, "high": 1}, **BY))["columns"][0]["high"] == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"high": -1}, "must be below"),
        ({"higth": 3}, "higth"),
        ({"kind": "numbre"}, "kind"),
        ({"categories": ["a"]}, "category"),
    ],
)
def test_what_breaks_a_rule_is_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        declared(TEXT, "sales", settings, **BY)


@pytest.mark.parametrize(
    "text",
    [
        'id = "i"\ncolumns = [{ name = "x", kind = "flag", meaning = "m", drafted = true }]\n',
        'id = "i"\n[[columns]]\nname = "x"\nkind = "category"\nmeaning = "m"\ncategories = [\n"a",\n"b"]\ndrafted = true\n',
    ],
)
def test_styles_that_lines_do_not_fit_are_changed_rightly_or_not_at_all(text):
    with pytest.raises(ConfigError, match="edit it by hand") if "[{" in text else nullcontext():
        after = tomllib.loads(confirmed(text, ["x"], **BY))
        expected = tomllib.loads(text)
        del expected["columns"][0]["drafted"]
        assert after == expected


def test_values_over_several_lines_are_never_broken():
    text = 'id = "i"\n[[columns]]\nname = "x"\nkind = "category"\nmeaning = "m"\ncategories = [\n"a",\n"b"]\n'
    with pytest.raises(ConfigError, match="edit it by hand|not valid"):
        declared(text, "x", {"categories": ["c"]}, **BY)


def test_a_dictionary_is_replaced_and_the_rest_stays():
    new = '[dictionary]\nid = "other"\n'
    text = replaced(TEXT, new, {"delimiter": ";", "source": "never.csv"})
    assert tomllib.loads(text) == {
        "name": "b",
        "kind": "bank",
        "table": {"source": "t.csv", "delimiter": ";"},
        "dictionary": {"id": "other"},
    }
    assert "# the table" in text


def test_files_without_a_dictionary_say_how_to_get_one():
    with pytest.raises(ConfigError, match="fedrisk dictionary draft"):
        entries('name = "b"\n')
    with pytest.raises(ConfigError, match="not valid TOML"):
        entries("id = ")
