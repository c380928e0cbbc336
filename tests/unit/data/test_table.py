"""Tables: what is read, what is refused, and that no text ever holds a value."""

import gzip
import logging
import os
import tomllib
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy

from fedrisk.alignment.ids import uscc_check_character
from fedrisk.data.checks import Check
from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.source import TableSource
from fedrisk.data.table import examine_table, raise_for, read_table
from fedrisk.errors import DataError

CONFIGS = Path(__file__).parents[3] / "configs" / "institutions"
CANARY = "7742191337"  # planted as ids, values and labels; must never show in a text

COLUMNS = [
    {"name": "income", "kind": "number", "meaning": "m", "low": 0, "high": 100, "missing_values": [-9, "?"]},
    {
        "name": "sector",
        "source": "naics",
        "kind": "category",
        "meaning": "m",
        "prefix": 2,
        "categories": ["01", "45"],
        "missing_values": [0],
    },
    {"name": "own", "kind": "flag", "meaning": "m"},
    {"name": "day", "kind": "date", "meaning": "m", "feature": False},
]
LABEL = {"column": "status", "positive": ["BAD"], "negative": ["GOOD"], "horizon": "h"}


def dictionary(columns=COLUMNS, label=LABEL, scheme="opaque", **more):
    return load_dictionary(
        {"id": "id", "id_scheme": scheme, "columns": columns, **({"label": label} if label else {}), **more}
    )


def rows(**change):
    base = {
        "id": ["a1", " b2 ", "c3", "d4", "e5"],
        "income": ["10", " 20.5", "-9", "?", ""],
        "naics": ["0111", "451120", "45", "0", ""],
        "own": ["Y", "no", "1", "FALSE", ""],
        "day": ["2024-01-31", "20240201", "", "2024-03-01", "2024-04-01"],
        "status": ["BAD", "GOOD", "GOOD", "pending", "GOOD"],
        "bank": ["x", "x", "y", "x", "x"],
    }
    return base | change


def save(folder, data, name="t.csv"):
    pd.DataFrame(data).to_csv(folder / name, index=False)
    return TableSource(source=name)


def read(folder, data, d=None):
    return read_table(save(folder, data), d or dictionary(), base=folder)


def errors(folder, data, d=None):
    return [
        c
        for c in examine_table(save(folder, data), d or dictionary(), base=folder)[1]
        if c.severity == "error"
    ]


def refusal(folder, data, d=None):
    with pytest.raises(DataError) as caught:
        read(folder, data, d)
    # Whole traceback: a reader's own error, chained, would quote the row.
    text = "".join(traceback.format_exception(caught.value))
    assert CANARY not in text
    assert caught.value.__context__ is None
    return str(caught.value)


def test_types_and_labels(tmp_path):
    table = read(tmp_path, rows())
    assert table.ids.tolist() == [
        "A1",
        "B2",
        "C3",
        "D4",
        "E5",
    ]  # D4 has no label and is a customer all the same
    np.testing.assert_array_equal(table.frame["income"], [10, 20.5, np.nan, np.nan, np.nan])
    assert [None if pd.isna(v) else v for v in table.frame["sector"]] == ["01", "45", "45", None, None]
    np.testing.assert_array_equal(table.frame["own"], [1, 0, 1, 0, np.nan])
    assert table.frame["day"].dtype.kind == "M"
    assert str(table.frame["day"].iloc[1])[:10] == "2024-02-01"
    np.testing.assert_array_equal(table.label, [1, 0, 0, np.nan, 0])
    assert table.labelled.tolist() == [True, True, True, False, True]
    without = [c for c in table.checks if "no label" in c.rule]
    assert [(c.rows, c.severity) for c in without] == [(1, "warning")]
    assert "scored like any other row, and not trained on" in str(without[0])
    assert len(table) == 5


def test_empty_labels_and_values_that_are_no_outcome_are_told_apart(tmp_path):
    table = read(tmp_path, rows(status=["BAD", "GOOD", "", "pending", "  "]))
    found = {c.rule: c.rows for c in table.checks if "no label" in c.rule}
    assert found == {"no label": 2, "no label: value neither positive nor negative": 1}
    np.testing.assert_array_equal(table.label, [1, 0, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("form", ["classes", "number"])
def test_a_table_without_any_label_is_refused_in_words(tmp_path, form):
    label = LABEL if form == "classes" else {"column": "status", "horizon": "h"}
    text = refusal(tmp_path, rows(status=[""] * 5), dictionary(label=label))
    assert "no row has a label" in text and "label.column" in text


def test_rows_without_a_label_are_read_and_checked_like_all_others(tmp_path):
    """A customer is a customer: id, columns and digest count, with a label or without."""
    text = refusal(tmp_path, rows(id=["a1", "d4", "c3", "d4", ""]))
    assert "id is missing (1 row" in text and "id occurs more than once (2 rows" in text
    d = dictionary([{**COLUMNS[0], "missing": "refuse", "missing_values": []}], LABEL)
    text = refusal(tmp_path, rows(income=["10", "20", "30", "", "40"]), d)
    assert "missing, which this column refuses (1 row" in text
    one, other = read(tmp_path, rows()), read(tmp_path, rows(own=["Y", "no", "1", "TRUE", ""]))
    assert one.digest != other.digest
    assert one.digest != read(tmp_path, rows(status=["BAD", "GOOD", "GOOD", "GOOD", "GOOD"])).digest


def test_every_reader_gives_the_same_table(tmp_path):
    data = rows()
    plain = read(tmp_path, data)
    frame = pd.DataFrame(data)
    frame.to_parquet(tmp_path / "t.parquet")
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        frame.to_csv(file, index=False)
    frame.to_csv(tmp_path / "g.csv", index=False, encoding="utf-16")
    url = f"sqlite:///{tmp_path}/t.db"
    with sqlalchemy.create_engine(url).begin() as connection:
        frame.replace("", None).to_sql("t", connection, index=False)
    sources = [
        TableSource(source="t.parquet"),
        TableSource(source="t.csv.gz"),
        TableSource(source="g.csv", encoding="utf-16"),
        TableSource(source=url, query="SELECT * FROM t"),
    ]
    for source in sources:
        assert read_table(source, dictionary(), base=tmp_path).digest == plain.digest, source.source


def test_numbers_that_a_reader_typed_keep_their_codes(tmp_path):
    frame = pd.DataFrame({"id": [10**17 + 1, 10**17 + 2], "naics": [45.0, None], "own": [True, False]})
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(TableSource(source="t.parquet"), dictionary(COLUMNS[1:3], None), base=tmp_path)
    assert table.ids.tolist() == [str(10**17 + 1), str(10**17 + 2)]
    assert table.frame["sector"].iloc[0] == "45"
    assert table.frame["own"].tolist() == [1, 0]


def test_only_cuts_one_file_into_institutions(tmp_path):
    save(tmp_path, rows())
    d = dictionary(label=None)
    assert read_table(TableSource(source="t.csv", only={"bank": "y"}), d, base=tmp_path).ids.tolist() == [
        "C3"
    ]
    both = read_table(TableSource(source="t.csv", only={"bank": ["x", "y"]}), d, base=tmp_path)
    assert len(both) == 5
    with pytest.raises(DataError, match=r"has no rows.*check path, query and only"):
        read_table(TableSource(source="t.csv", only={"bank": "z"}), d, base=tmp_path)


def test_row_numbers_as_ids_survive_the_cut(tmp_path):
    save(tmp_path, rows())
    d = load_dictionary({"id": "@row", "id_scheme": "opaque", "columns": COLUMNS[:1]})
    kept = read_table(TableSource(source="t.csv", only={"bank": "y"}), d, base=tmp_path)
    assert kept.ids.tolist() == ["ROW000000002"]


def test_digest_sees_every_change(tmp_path):
    seen = {read(tmp_path, rows()).digest}
    changes = [
        {"income": ["11", "20.5", "", "", ""]},
        {"naics": ["4511", "451120", "45", "0", ""]},
        {"own": ["N", "no", "1", "0", ""]},
        {"id": ["a1", "b2", "c3", "d4", "e6"]},
        {"status": ["BAD", "BAD", "GOOD", "?", "GOOD"]},
        {"day": ["2024-01-30", "20240201", "", "2024-03-01", "2024-04-01"]},
    ]
    for change in changes:
        seen.add(read(tmp_path, rows(**change)).digest)
    assert len(seen) == len(changes) + 1
    turned = {k: v[::-1] for k, v in rows().items()}
    assert (
        read(tmp_path, turned).digest == read(tmp_path, rows()).digest
    )  # a database gives rows in any order
    assert read(tmp_path, turned).ids.tolist() == sorted(read(tmp_path, turned).ids)
    assert read(tmp_path, rows(bank=list("zzzzz"))).digest in seen  # not used, so not in the digest


@pytest.mark.parametrize(
    ("change", "column", "rule", "count"),
    [
        ({"id": ["a1", "", "c3", "d4", "e5"]}, "id", "id is missing", 1),
        ({"id": [CANARY, CANARY, "c3", "d4", CANARY]}, "id", "more than once", 3),
        ({"income": ["1", CANARY + "x", "x", "4", "5"]}, "income", "not a number", 2),
        ({"income": ["1", "inf", "-inf", "4", "5"]}, "income", "infinite", 2),
        ({"income": ["1", CANARY, "3", "4", "5"]}, "income", "outside the public bounds", 1),
        ({"naics": [CANARY, "45", "45", "45", "45"]}, "sector", "not in the list", 1),
        ({"own": [CANARY, "1", "0", "1", "0"]}, "own", "not yes or no", 1),
        ({"day": [CANARY + "-", "", "", "", ""]}, "day", "not a date", 1),
        ({"status": ["GOOD"] * 5}, "label", "no positive label", 0),
        ({"status": ["BAD"] * 5}, "label", "no negative label", 0),
        ({"status": [CANARY] * 5}, "label", "no row has a label", 0),
    ],
)
def test_each_broken_rule_is_counted_and_named_without_values(tmp_path, change, column, rule, count):
    found = [c for c in errors(tmp_path, rows(**change)) if c.column == column and rule in c.rule]
    assert [c.rows for c in found] == [count]
    assert found[0].remedy
    text = refusal(tmp_path, rows(**change))
    assert "table t.csv" in text
    assert column in text
    assert rule in text
    assert all(
        CANARY not in str(c)
        for c in examine_table(TableSource(source="t.csv"), dictionary(), base=tmp_path)[1]
    )


def test_duplicates_name_the_remedy_with_the_date_column(tmp_path):
    text = refusal(tmp_path, rows(id=["a", "A ", "c", "d", "e"]), dictionary(as_of="day"))
    assert 'keep the latest by "day"' in text
    assert "(2 rows" in text


def test_uscc_codes_are_checked_and_a_few_bad_ones_left_out(tmp_path):
    good = [first + uscc_check_character(first) for first in (f"91369900{i:09d}" for i in range(200))]
    d = dictionary([COLUMNS[0]], None, "uscc")
    data = {"id": [good[0].lower() + " ", *good[1:]], "income": ["1"] * 200}
    assert read(tmp_path, data, d).ids.tolist() == good
    wrong = good[5][:17] + ("0" if good[5][17] != "0" else "1")
    table = read(tmp_path, data | {"id": [*good[:5], wrong, *good[6:]]}, d)
    assert len(table) == 199
    assert [(c.rows, c.severity) for c in table.checks if "check character" in c.rule] == [(1, "warning")]
    text = refusal(tmp_path, data | {"id": [CANARY] * 3 + good[3:]}, d)
    assert "check character" in text
    assert "(3 rows" in text


def test_ids_that_are_no_credit_codes_are_met_with_the_other_scheme(tmp_path):
    data = {"id": [f"{CANARY}-{k}" for k in range(20)], "income": ["1"] * 20}
    text = refusal(tmp_path, data, dictionary([COLUMNS[0]], None, "uscc"))
    assert 'if they are other ids, write id_scheme = "opaque"' in text
    assert len(read(tmp_path, data, dictionary([COLUMNS[0]], None))) == 20


def test_a_bank_may_bring_labels_and_no_column(tmp_path):
    table = read(tmp_path, rows(), dictionary([]))
    assert len(table.label) == len(table) == len(table.frame) > 0


def test_bounds_clip_up_to_the_stated_share(tmp_path):
    data = {"id": [f"i{k}" for k in range(100)], "income": ["50"] * 98 + ["-3", "900"]}
    loose = dictionary([{**COLUMNS[0], "outside": 0.02}], None)
    table = read(tmp_path, data, loose)
    assert table.frame["income"].iloc[-2:].tolist() == [0, 100]
    assert [(c.rows, c.severity) for c in table.checks] == [(2, "note")]
    assert "outside = 0.01" in refusal(tmp_path, data, dictionary(COLUMNS[:1], None))


def test_missing_may_be_refused(tmp_path):
    d = dictionary([{**COLUMNS[0], "missing": "refuse"}], None)
    assert "missing, which this column refuses (3 rows, 60.00%)" in refusal(tmp_path, rows(), d)
    category = {**COLUMNS[1], "missing": "refuse", "outside": 1, "missing_values": []}
    assert "not in the list" in refusal(
        tmp_path, rows(naics=["01", "45", "99", "45", "45"]), dictionary([category], None)
    )


def test_soft_labels_and_weights(tmp_path):
    label = {"column": "y", "weight": "w", "horizon": "h"}
    d = dictionary(COLUMNS[:1], label)
    good = rows(y=["0.25", "1", "0", "", "0.5"], w=["1", "0.5", "0.1", "", "0"])
    table = read(tmp_path, good, d)
    np.testing.assert_array_equal(table.label, [0.25, 1, 0, np.nan, 0.5])
    np.testing.assert_array_equal(
        table.weight, [1, 0.5, 0.1, 0, 0]
    )  # no weight is asked of a row without a label
    assert "label outside [0, 1] (2 rows" in refusal(
        tmp_path, good | {"y": ["2", "-1", "0", "", CANARY + "x"]}, d
    )
    assert "weight missing or outside [0, 1] (2 rows" in refusal(
        tmp_path, good | {"w": ["3", "", "0", "", "0"]}, d
    )


def test_columns_of_the_table(tmp_path):
    data = rows()
    del data["naics"], data["status"]
    text = refusal(tmp_path, data)
    assert "naics: column is not in the table" in text
    assert "status: column is not in the table" in text
    (tmp_path / "t.csv").write_text("id,income,income\n1,2,3\n")
    with pytest.raises(DataError, match="several columns"):
        read_table(TableSource(source="t.csv"), dictionary(COLUMNS[:1], None), base=tmp_path)
    (tmp_path / "t.csv").write_text("id,income\n")
    with pytest.raises(DataError, match="has no rows"):
        read_table(TableSource(source="t.csv"), dictionary(COLUMNS[:1], None), base=tmp_path)
    extra = [c for c in read(tmp_path, rows()).checks if "not in the dictionary" in c.rule]
    assert [c.severity for c in extra] == ["note"]


def test_a_reader_that_fails_quotes_nothing(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    d = dictionary(COLUMNS[:1], None)
    broken = {
        "fields.csv": (f"id,income\na,1\nb,{CANARY},{CANARY}\n".encode(), "row 3 has 3 fields, the header 2"),
        "bytes.csv": (f"id,income\n{CANARY}\xe9,1\n".encode("latin-1"), "check the file, its encoding"),
        "broken.parquet": (f"PAR1{CANARY}".encode(), "cannot be read"),
    }
    for name, (content, words) in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_table(TableSource(source=name), d, base=tmp_path)
        assert words in str(caught.value)
        assert CANARY not in "".join(traceback.format_exception(caught.value))
        assert caught.value.__context__ is None
    (tmp_path / "t.db").touch()
    url = f"sqlite:///{tmp_path}/t.db"
    with pytest.raises(DataError, match="table from the database: cannot be read") as caught:
        read_table(TableSource(source=url, query=f"SELECT {CANARY} FROM nowhere"), d, base=tmp_path)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert CANARY not in caplog.text + "".join(capfd.readouterr())


def test_the_representation_shows_no_content(tmp_path):
    table = read(tmp_path, rows(id=[CANARY, "b", "c", "d", "e"]))
    assert CANARY in table.ids
    assert CANARY not in repr(table)
    assert CANARY not in str(table)


def test_raise_for_ignores_notes():
    raise_for([Check("a", "r", 1, 0.1, "note", "x"), Check("a", "r", 1, 0.1, "warning", "x")])
    with pytest.raises(DataError, match=r"place: 1 rule broken\n  - error: a: r \(1 rows, 10.00%\); x"):
        raise_for([Check("a", "r", 1, 0.1, "error", "x")], where="place")


EXPECTED = {
    "card_bank": (30000, 0.2212),
    "card_partner": (30000, None),
    "card3_bank": (30000, 0.2212),
    "card3_bureau": (30000, None),
    "card3_registry": (30000, None),
    "sba_bank_of_america": (6602, 0.2819),
    "sba_capital_one": (2458, 0.3385),
    "sba_wells_fargo": (1190, 0.1529),
    "sba_pnc": (1166, 0.2050),
    "sba_citizens": (927, 0.2492),
    "sba_jpmorgan_chase": (849, 0.1991),
}
"""Rows that have a label, or all of a holder, and the default rate among them."""

UNLABELLED = {
    "sba_bank_of_america": 4,
    "sba_wells_fargo": 3,
    "sba_pnc": 1,
    "sba_citizens": 86,
    "sba_jpmorgan_chase": 3,
}
"""Loans without an outcome, which are customers all the same."""


@pytest.mark.skipif("FEDRISK_DATA" not in os.environ, reason="FEDRISK_DATA is not set: real data absent")
@pytest.mark.parametrize("name", EXPECTED)
def test_shipped_institutions_read_their_tables(name):
    file = CONFIGS / f"{name}.toml"
    source = TableSource(**tomllib.loads(file.read_text(encoding="utf-8"))["table"])
    table = read_table(source, load_dictionary(file), base=file.parent)
    count, rate = EXPECTED[name]
    assert (table.label is None) == (rate is None)
    if rate is None:
        assert len(table) == count
    else:
        assert len(table) == count + UNLABELLED.get(name, 0)
        assert int(np.isfinite(table.label).sum()) == count
        assert np.nanmean(table.label) == pytest.approx(rate, abs=1e-4)


TRADES = {
    "name": "trades",
    "kind": "number",
    "meaning": "m",
    "low": 0,
    "high": 80,
    "special": {"-9": "no record", "-8": "no usable trade", "99.99": "not asked"},
    "missing_values": [-7],
    "outside": 0,
}
SPELLINGS = ["-9", " -9.0 ", "-9e0", "-8.00", "99.99", "99.990", "-7.0", "", "12.5", "0"]
READ = [-9, -9, -9, -8, 99.99, 99.99, np.nan, np.nan, 12.5, 0]


def coded(values, column=TRADES):
    """The column as it was read, from the rows with these values."""
    return {"id": [f"i{k:05d}" for k in range(len(values))], column["name"]: values}, dictionary(
        [column], None
    )


def test_special_codes_are_read_however_they_are_spelled_and_lie_outside_no_bound(tmp_path):
    data, d = coded(SPELLINGS)
    table = read(tmp_path, data, d)
    np.testing.assert_array_equal(table.frame["trades"], READ)
    assert not [c for c in table.checks if c.severity != "note"]


@pytest.mark.parametrize("kind", ["float64", "float32", "Int64", "int64"])
def test_special_codes_of_typed_columns(tmp_path, kind):
    whole = kind.lower().startswith("int")
    values = [-9, -8, -7, 12, 0] if whole else READ
    gaps = [None] if kind != "int64" else []
    frame = pd.DataFrame({"trades": pd.array([*values, *gaps], dtype=kind)})
    frame["id"] = [f"i{k:05d}" for k in range(len(frame))]
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(TableSource(source="t.parquet"), coded([])[1], base=tmp_path)
    # single precision cannot hold 99.99; the table has the code itself
    wanted = [np.nan if v == -7 else v for v in values] + [np.nan] * len(gaps)
    np.testing.assert_array_equal(table.frame["trades"], wanted)


def test_what_is_nearly_a_code_is_a_value_and_outside_the_bounds(tmp_path):
    near = ["-9.0000001", "-90", "9", "\N{MINUS SIGN}9"]
    data, d = coded(near)
    text = refusal(tmp_path, data, d)
    assert "outside the public bounds [0, 80] (2 rows" in text
    assert "not a number (1 rows" in text


def test_a_number_beyond_a_bound_that_is_a_code_does_not_become_the_code(tmp_path):
    column = {**TRADES, "special": {"0": "closed", "80": "full"}, "missing_values": [], "outside": 1}
    table = read(tmp_path, *coded(["0", "-3", "80", "95", "40"], column))
    x = table.frame["trades"].to_numpy()
    assert x[[0, 2, 4]].tolist() == [0, 80, 40]
    assert 0 < x[1] < 1e-300
    assert 79.999 < x[3] < 80


def test_special_codes_of_flags(tmp_path):
    column = {"name": "own", "kind": "flag", "meaning": "m", "special": {"9": "not stated"}}
    data, d = coded(["1", "no", "9", "9.0", ""], column)
    np.testing.assert_array_equal(read(tmp_path, data, d).frame["own"], [1, 0, 9, 9, np.nan])
    data["own"][0] = "8"
    assert "not yes or no (1 rows" in refusal(tmp_path, data, d)


def test_rows_with_special_codes_do_not_raise_the_tolerated_share(tmp_path):
    column = {**TRADES, "outside": 0.1}
    values = ["-9"] * 90 + ["50"] * 8 + ["200", "300"]
    assert "outside the public bounds [0, 80] (2 rows" in refusal(tmp_path, *coded(values, column))


SHAPES = {
    "private edges, linear grid": ({}, 'grid = "log"', "keep the bounds tight and raise outside = 0.01"),
    "private edges, log grid": ({"grid": "log"}, "widen the bounds", "costs little on a log grid"),
    "public edges": ({"bins": [10, 20]}, "widen low and high", "costs nothing beside public edges"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_values_outside_the_bounds_name_the_remedy_that_helps_by_the_columns_shape(tmp_path, shape):
    more, first, second = SHAPES[shape]
    column = {"name": "income", "kind": "number", "meaning": "m", "low": 0, "high": 100, **more}
    values = [str(k % 100) for k in range(60)] + [CANARY, "901.5", "-3", "112"]
    text = refusal(tmp_path, *coded(values, column))
    assert first in text
    assert second in text
    assert "raise outside = 0.01" in text
    assert ("widen" in text) == (shape != "private edges, linear grid")
    assert "special" not in text  # four different values are no codes
    assert not any(v in text for v in ("901.5", "-3", "112"))


@pytest.mark.parametrize(
    ("codes", "words"), [([-999], "one value makes"), ([-999, -998, 7777], "3 values make")]
)
def test_values_that_repeat_outside_the_bounds_are_taken_for_codes(tmp_path, codes, words):
    column = {"name": "income", "kind": "number", "meaning": "m", "low": 0, "high": 100}
    values = [str(k) for k in range(90)] + [str(c) for c in codes for _ in range(4)] + ["1234"]
    text = refusal(tmp_path, *coded(values, column))
    assert f"{words} up {4 * len(codes)} of these rows, as codes do" in text
    assert "special" in text
    assert "missing_values" in text
    assert not any(str(abs(c)) in text for c in [*codes, 1234])
    tolerated = read(tmp_path, *coded(values, {**column, "outside": 0.5}))
    (check,) = tolerated.checks
    assert check.severity == "warning"
    assert "counted as the bound" in check.remedy
    assert words in check.remedy


def test_a_text_code_in_a_number_names_both_remedies(tmp_path):
    column = {"name": "income", "kind": "number", "meaning": "m", "low": 0, "high": 100}
    text = refusal(tmp_path, *coded(["1", CANARY + "x"], column))
    assert "list the code in missing_values, or recode it as a number and declare it in special" in text


def long_ids(values, name="income"):
    return {"id": values, name: ["1"] * len(values)}


LOST = {
    "scientific notation": [f"{913501000000000000 + 7 * i:.5E}" for i in range(4)],
    "scientific notation without a fraction": ["9E+17", "8e+17"],
    "long with a fraction": ["913501000000000128.0", "913501000000000256.0"],
    "rounded after 15 digits": [f"91350100012345{i}000" for i in range(4)],
    "wrapped as a formula": [f'="0135{i}"' for i in range(3)],
    "with an apostrophe": [f"'0135{i}" for i in range(3)],
}


@pytest.mark.parametrize("kind", LOST)
def test_ids_whose_digits_were_lost_are_named_and_are_no_duplicates(tmp_path, kind):
    text = refusal(tmp_path, long_ids(LOST[kind]), dictionary(COLUMNS[:1], None))
    assert f"({len(LOST[kind])} rows, 100.00%); export" in text
    assert "text" in text and "roll the rows" not in text
    (check,) = (c for c in errors(tmp_path, long_ids(LOST[kind]), dictionary(COLUMNS[:1], None)) if c.rows)
    assert check.at == tuple(range(2, 2 + len(LOST[kind]))) and check.values == ()


@pytest.mark.parametrize("kind", ["float64", "float32"])
def test_ids_in_floating_point_are_named(tmp_path, kind):
    first = 10**19 if kind == "float64" else 20240901
    frame = pd.DataFrame({"id": np.array([first + 4096 * i for i in range(3)], dtype=kind), "income": 1.0})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"digits of ids were lost: .*3 rows.*export the column as text"):
        read_table(TableSource(source="t.parquet"), dictionary(COLUMNS[:1], None), base=tmp_path)


@pytest.mark.parametrize("values", [["1E5", "2E5"], ["12e", "1.5"], [str(10**17 + 7 * i) for i in range(9)]])
def test_ids_that_only_look_a_little_like_numbers_are_ids(tmp_path, values):
    assert len(read(tmp_path, long_ids(values), dictionary(COLUMNS[:1], None))) == len(values)


def test_ids_that_were_whole_doubles_are_the_numbers_and_shorter_ones_are_noted(tmp_path):
    table = read(tmp_path, long_ids(["1001.0", "99.0", "1002.0"]), dictionary(COLUMNS[:1], None))
    assert table.ids.tolist() == ["1001", "1002", "99"]
    (check,) = table.checks
    assert (check.rule, check.rows, check.at) == ("ids are numbers with fewer digits than most", 1, (3,))
    mixed = read(tmp_path, long_ids(["1001.0", "x", "0099"]), dictionary(COLUMNS[:1], None))
    assert mixed.ids.tolist() == ["0099", "1001.0", "X"] and not mixed.checks


def test_a_listed_value_wins_over_being_missing_and_words_for_missing_are_the_same_everywhere(tmp_path):
    regions = {"name": "region", "kind": "category", "meaning": "m", "categories": ["NA", "EU"], "outside": 1}
    income = {"name": "income", "kind": "number", "meaning": "m", "low": 0, "high": 9}
    data = {
        "id": list("abcde"),
        "region": ["NA", "EU", "N/A", "null", '""'],
        "income": ["NA", "1", "null", "nan", " "],
    }
    frame = pd.DataFrame(data)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    d = dictionary([regions, income], None)
    for source in ("t.csv", "t.parquet"):
        table = read_table(TableSource(source=source), d, base=tmp_path)
        assert [None if pd.isna(v) else v for v in table.frame["region"]] == ["NA", "EU", None, None, None]
        np.testing.assert_array_equal(table.frame["income"], [np.nan, 1, np.nan, np.nan, np.nan])
        assert [c.rows for c in table.checks if "not in the list" in c.rule] == [1]
    listed = {"column": "region", "positive": ["NA"], "negative": ["EU"], "horizon": "h"}
    np.testing.assert_array_equal(
        read(tmp_path, data, dictionary([income], listed)).label, [1, 0, np.nan, np.nan, np.nan]
    )
    chosen = read_table(
        TableSource(source="t.csv", only={"region": "NA"}), dictionary([income], None), base=tmp_path
    )
    assert chosen.ids.tolist() == ["A"]


DAYS = [
    "2024-09-01",
    "2024-09-01T00:00:00+08:00",
    "2024-09-01 23:59:59.999-11:00",
    "2024-09-01T00:00:00Z",
    "2024-09-01T24:00",
    "20240901",
    "20240901.0",
    "20240901T000000",
    "2024/09/01",
    "2024.9.1",
    "2024年9月1日",
    "2024-09",
    "２０２４-09-01",
    " 2024-09-01 ",
]
NO_DAYS = {
    "01/09/2024": "day and month are not told apart",
    "1.9.24": "day and month are not told apart",
    "45536": "spreadsheets count days",
    "1725148800": "programs count seconds since 1970",
    "0000-00-00": "zeros in place of a date",
    "Sep 1, 2024": "months in words",
    "2024-02-30": "write it as 2025-01-31",
    "2024-13-01": "write it as 2025-01-31",
    "2024-09-01x": "write it as 2025-01-31",
    "12024-09-01": "write it as 2025-01-31",
}
DAY = {"name": "day", "kind": "date", "meaning": "m", "feature": False}


def test_a_date_is_the_day_that_was_written(tmp_path):
    table = read(
        tmp_path, long_ids([f"i{k:02d}" for k in range(len(DAYS))]) | {"day": DAYS}, dictionary([DAY], None)
    )
    assert {str(d)[:10] for d in table.frame["day"]} == {"2024-09-01"}
    ends = read(tmp_path, {"id": ["a", "b"], "day": ["0001-01-01", "9999-12-31"]}, dictionary([DAY], None))
    assert [str(d)[:10] for d in ends.frame["day"]] == ["0001-01-01", "9999-12-31"]


@pytest.mark.parametrize("text", NO_DAYS)
def test_what_is_no_date_is_named(tmp_path, text):
    (check,) = errors(tmp_path, {"id": ["a", "b"], "day": ["2024-01-01", text]}, dictionary([DAY], None))
    assert "not a date" in check.rule and NO_DAYS[text] in check.remedy
    assert check.at == (3,) and check.values == (text,)
    assert text not in str(check) and text not in repr(check)


def test_codes_of_missing_dates(tmp_path):
    column = {**DAY, "missing_values": ["9999-12-31", 19000101, "none"]}
    days = ["99991231", "1900-01-01T00:00:00Z", "none", "2024-09-01"]
    table = read(tmp_path, {"id": list("abcd"), "day": days}, dictionary([column], None))
    assert table.frame["day"].isna().tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("codes", "more", "hint"),
    [
        ([-999] * 20, [], "one value makes up 20"),
        ([-999] * 12 + [9999] * 8, [], "2 values make up 20"),
        ([99999999] * 4, [], "one value makes up 4"),
        ([-999] * 10, [100 + k / 7 for k in range(19)], "one value makes up 10"),
        ([9999] * 5, [100 + k / 7 for k in range(24)], "one value makes up 5"),
        ([], [100 + k / 7 for k in range(25)], ""),
    ],
)
def test_special_values_below_the_tolerated_share_are_asked_about(tmp_path, codes, more, hint):
    column = {"name": "income", "kind": "number", "meaning": "m", "low": 0, "high": 100}
    values = [k % 97 for k in range(3000 - len(codes) - len(more))] + codes + more
    (check,) = read(tmp_path, *coded(values, column)).checks
    assert check.severity == ("warning" if hint else "note")
    assert hint in check.remedy and ("missing_values" in check.remedy) == bool(hint)
    assert set(codes) <= set(map(float, check.values))


def test_the_owner_sees_rows_and_values_and_no_error_does(tmp_path):
    data = rows(income=["1", CANARY + "x", "?", "4", "5"], naics=["99", "45", "45", "98", "45"])
    (tmp_path / "t.csv").write_text("title\n" + pd.DataFrame(data).to_csv(index=False))
    found = examine_table(TableSource(source="t.csv", skip_rows=1), dictionary(), base=tmp_path)[1]
    income = next(c for c in found if c.rule == "not a number")
    assert income.for_owner() == f'row 4; value "{CANARY}x"'
    assert next(c for c in found if "not in the list" in c.rule).for_owner() == 'rows 3, 6; values "99", "98"'
    assert all(CANARY not in str(c) + repr(c) for c in found)
    labels = next(c for c in found if "no label" in c.rule)
    assert labels.for_owner() == "row 6"


def test_points_that_may_divide_thousands_are_asked_about(tmp_path):
    column = {"name": "income", "kind": "number", "meaning": "m", "low": 0, "high": 1e6}
    (check,) = read(tmp_path, *coded(["1.234", "12.500", "950", "3.001"], column)).checks
    assert check.rule == "every number with a point has three digits after it" and check.rows == 3
    assert not read(tmp_path, *coded(["1.234", "12.5", "950", "3.001"], column)).checks
    save(tmp_path, coded(["1.234", "12.500", "950", "3.001"], column)[0])
    source = TableSource(source="t.csv", decimal=",", thousands=".")
    table = read_table(source, dictionary([column], None), base=tmp_path)
    assert table.frame["income"].tolist() == [1234, 12500, 950, 3001]


def test_a_notation_is_that_of_codes_labels_and_weights_too(tmp_path):
    column = {
        "name": "income",
        "kind": "number",
        "meaning": "m",
        "low": 0,
        "high": 100,
        "special": {"-9.5": "no"},
    }
    column |= {"missing_values": [-1000.5]}
    data = {
        "id": list("abc"),
        "income": ["-9,5", "-1.000,5", "12,5"],
        "y": ["0,5", "1", "0"],
        "w": ["1", "0,25", "1"],
    }
    save(tmp_path, data)
    source = TableSource(source="t.csv", decimal=",", thousands=".")
    table = read_table(
        source, dictionary([column], {"column": "y", "weight": "w", "horizon": "h"}), base=tmp_path
    )
    np.testing.assert_array_equal(table.frame["income"], [-9.5, np.nan, 12.5])
    assert table.label.tolist() == [0.5, 1, 0] and table.weight.tolist() == [1, 0.25, 1]


def test_columns_without_text_are_named(tmp_path):
    pd.DataFrame({"id": ["a"], "naics": [["x"]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(
        DataError, match=r'table t\.parquet: column "naics" holds values of type list'
    ) as caught:
        read_table(TableSource(source="t.parquet"), dictionary(COLUMNS[1:2], None), base=tmp_path)
    assert caught.value.__context__ is None
