"""Columns from histories in a dictionary: what follows from the rule, what they state themselves, what is refused."""

import re
from pathlib import Path

import pytest

from fedrisk.data.column import Column
from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.dictionary_file import declared
from fedrisk.data.features import features_of
from fedrisk.data.history_kinds import KINDS, HistoryRule
from fedrisk.errors import ConfigError
from fedrisk.institution import Institution, load_institution

FALL = {"name": "invoice_fall", "history": "invoices", "kind": "fall", "months": 3, "before": 12}
SERIES = {"name": "invoices", "unit": "invoices", "low": 0, "high": 3000}
HISTORIES = {"source": "h.parquet", "months": 18, "series": [SERIES]}


def dictionary(*columns):
    return load_dictionary({"id": "id", "columns": list(columns)})


def office(*columns, histories=HISTORIES, **more):
    content = {"name": "tax", "kind": "holder", "table": {"source": "t.csv"}, **more}
    content["dictionary"] = {"id": "id", "columns": list(columns)}
    return Institution(**content, **({} if histories is None else {"histories": histories}))


def test_what_follows_from_the_rule():
    (c,) = dictionary(FALL).columns
    assert (c.kind, c.low, c.high, c.bins, c.direction) == ("number", -3.0, 3.0, KINDS["fall"].bins, None)
    assert c.meaning == "fall of invoices: the last 3 months against the 12 before, logarithm of the ratio"
    assert c.meaning_in("zh").startswith("invoices的下降")
    (feature,) = features_of(dictionary(FALL), "tax")
    assert feature.bins == KINDS["fall"].bins


def test_a_fall_that_must_have_lasted_is_another_column():
    """What a rule without the key has as bytes and digest does not change by it."""
    evidence = {"name": "e", "history": "invoices", "kind": "fall_evidence", "months": 9, "before": 9}
    plain, lasted = dictionary(evidence).columns + dictionary({**evidence, "since": 1}).columns
    assert (plain.history.since, lasted.history.since, lasted.history.span) == (0, 1, 18)
    assert "(at least 1 month ago)" in lasted.meaning and "ago" not in plain.meaning
    assert "至少1个月前" in lasted.meaning_zh
    assert plain.history.digest != lasted.history.digest
    assert "since = 1" in str(lasted.history) and "since" not in str(plain.history)
    assert dictionary({**evidence, "since": 1}).stated()["columns"] == [{**evidence, "since": 1}]
    assert "since" not in dictionary(FALL).columns[0].history.model_dump()


def test_what_a_column_states_itself_stays():
    own = {
        **FALL,
        "low": -1,
        "high": 1,
        "bins": 5,
        "meaning": "m",
        "meaning_zh": "中",
        "monotone": "increasing",
    }
    (c,) = dictionary(own).columns
    assert (c.low, c.high, c.bins, c.bin_count) == (-1, 1, None, 5)
    assert (c.meaning, c.meaning_zh, c.monotone, c.direction) == ("m", "中", "increasing", None)


@pytest.mark.parametrize("columns", [[FALL], [{**FALL, "bins": [-0.5, 0.5], "strength": "strong"}]])
def test_a_file_says_the_rule_and_what_differs(columns):
    d = dictionary(*columns)
    assert load_dictionary(d.stated()) == d
    assert d.stated()["columns"] == [{**columns[0], **({"bins": (-0.5, 0.5)} if len(columns[0]) > 5 else {})}]


def test_an_institution_fills_in_its_series(tmp_path):
    level = {"name": "invoice_level", "history": "invoices", "kind": "level"}
    made = office(FALL, level, histories={**HISTORIES, "series": [{**SERIES, "better": "high"}]})
    fall, mean = made.dictionary.columns
    assert (mean.unit, mean.low, mean.high, mean.grid) == ("invoices", 0, 3000, "log")
    assert (fall.direction, mean.direction) == ("increasing", "decreasing")
    assert fall.history.over == 18
    assert load_institution(made.save(tmp_path)).dictionary == made.dictionary


def test_the_public_dictionary_has_the_rule():
    one, other = office(FALL).dictionary, office({**FALL, "before": 9}).dictionary
    assert one.public()["columns"][0]["history"]["before"] == 12
    assert one.public_digest() != other.public_digest()
    assert "history" not in dictionary({"name": "x", "kind": "flag", "meaning": "m"}).public()["columns"][0]


def test_a_rule_travels_as_json():
    rule = office(FALL).dictionary.computed["invoice_fall"]
    assert HistoryRule.model_validate_json(rule.model_dump_json()) == rule
    column = office(FALL).dictionary.columns[0]
    assert Column.model_validate(column.model_dump(mode="json")) == column


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "fal"}, 'kind = "fal" is no kind of a column with a history; did you mean "fall"?'),
        ({"kind": "number"}, 'kind = "number" is no kind of a column with a history; known are level'),
        ({"since": 1}, 'since is no key of kind "fall", which takes months, before; remove it'),
        ({"kind": "fall_evidence", "since": 3}, "since = 3 must be from 0 to 2"),
        ({"kind": "level"}, 'before is no key of kind "level", which takes months; remove it'),
        ({"months": 61}, "months = 61 must be from 1 to 60"),
        ({"source": "x"}, "source is for columns of the table"),
        ({"history": None}, 'kind = "fall" is computed from a monthly history; add history = "SERIES"'),
        ({"mnths": 3}, "mnths: is not a known key"),
    ],
)
def test_what_a_dictionary_refuses(change, words):
    column = {k: v for k, v in {**FALL, **change}.items() if v is not None}
    with pytest.raises(ConfigError) as error:
        dictionary(column)
    assert 'column "invoice_fall"' in str(error.value) and words in str(error.value)


@pytest.mark.parametrize(
    ("column", "histories", "words"),
    [
        (FALL, None, "the file has no [histories]"),
        ({**FALL, "history": "load"}, HISTORIES, "is no series of [histories], which has invoices"),
        ({**FALL, "before": 20}, HISTORIES, "needs a history of 23 months (months = 3, before = 20)"),
        ({**FALL, "months": 2, "kind": "bunching", "before": None}, HISTORIES, "needs months = 3 or more"),
        (
            {"name": "b", "history": "invoices", "kind": "bunching"},
            HISTORIES,
            "needs to know which month the last one is",
        ),
        (
            FALL,
            {**HISTORIES, "series": [{**SERIES, "low": -5}]},
            "series invoices may be negative (low = -5)",
        ),
        (FALL, {**HISTORIES, "ends": "May"}, 'ends = "May" is no month'),
        (FALL, {**HISTORIES, "ends": "2026-05", "ends_column": "d"}, "keep one"),
        (FALL, {**HISTORIES, "series": [SERIES, SERIES]}, "a series is listed twice"),
    ],
)
def test_what_an_institution_refuses(column, histories, words):
    with pytest.raises(ConfigError) as error:
        office({k: v for k, v in column.items() if v is not None}, histories=histories)
    assert words in str(error.value)


def test_an_encoder_needs_histories():
    flag = {"name": "x", "kind": "flag", "meaning": "m"}
    with pytest.raises(ConfigError, match="encoder months: has no histories"):
        office(flag, histories=None, encoders=[{"name": "months", "series": [SERIES]}])
    with pytest.raises(ConfigError, match="months = 24 are more than"):
        office(flag, encoders=[{"name": "months", "months": 24}])


def test_a_column_is_declared_by_hand():
    text = '[dictionary]\nid = "id"\n\n[[dictionary.columns]]\nname = "x"\nkind = "flag"\nmeaning = "m"\n'
    settings = {"history": "invoices", "kind": "fall", "months": 3}
    changed = declared(text, "invoice_fall", settings, by="ann", day="2026-01-31")
    assert 'name = "invoice_fall"\nhistory = "invoices"\nkind = "fall"\nmonths = 3\n' in changed
    other = declared(changed, "invoice_fall", {"kind": "volatility"}, by="ann", day="2026-01-31")
    assert 'kind = "volatility"' in other and "meaning" not in other.split("invoice_fall")[1]


def test_the_page_lists_every_kind_with_what_is_usual():
    page = (Path(__file__).parents[3] / "docs" / "history-columns.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if re.match(r"\| `[a-z_]+` \|", line)]
    said = {cells[0].strip("| `"): [int(k) for k in cells[2].split(", ")] for cells in rows}
    assert said == {name: list(kind.keys.values()) for name, kind in KINDS.items()}
