"""What a value means in the type of its column: numbers, days and codes, whatever the source wrote around them."""

import datetime as dt
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.source import TableSource
from fedrisk.data.table import examine_table, read_table
from fedrisk.data.typed import day_of
from fedrisk.errors import ConfigError

NUMBER = {"name": "x", "kind": "number", "meaning": "m", "low": -1e6, "high": 1e6, "outside": 1}
CODES = {"name": "x", "kind": "category", "meaning": "m", "categories": ["01", "11", "22"]}
GERMAN = {"decimal": ",", "thousands": "."}


def dictionary(column=NUMBER, label=None):
    more = {} if label is None else {"label": {"column": "bad", "horizon": "h", **label}}
    return load_dictionary({"id": "id", "id_scheme": "opaque", "columns": [column], **more})


def looked_at(folder, values, column=NUMBER, label=None, **notation):
    """The table, and what is said of it, of these values as texts in a CSV or as an Arrow array in a Parquet file."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        name = "t.parquet"
        pq.write_table(pa.table({"id": [f"A{k}" for k in range(len(values))], "x": values}), folder / name)
    else:
        name = "t.csv"
        frame = pd.DataFrame({"id": [f"A{k}" for k in range(len(values))], "x": values})
        if label is not None:
            frame["bad"] = values
        frame.to_csv(folder / name, index=False)
    return examine_table(TableSource(source=name, **notation), dictionary(column, label), base=folder)


def decimals(*values):
    return pa.array([Decimal(v) for v in values], pa.decimal128(10, 3))


@pytest.mark.parametrize(
    "values",
    [
        decimals("1.234", "12.500", "3.000"),
        pa.array([1.234, 12.5, 3.0]),
        pa.array([1.234, 12.5, 3.0], pa.float32()),
        pa.array([1.234, 12.5, 3.0]).dictionary_encode(),
        decimals("1.234", "12.500", "3.000").dictionary_encode(),
    ],
    ids=lambda a: str(a.type),
)
def test_numbers_with_a_type_are_never_read_in_the_notation_of_texts(tmp_path, values):
    table, checks = looked_at(tmp_path, values, **GERMAN)
    assert table.frame["x"].tolist() == [1.234, 12.5, 3.0]
    assert not checks


def test_half_precision_too(tmp_path):
    values = pa.array([1.5, 1024.0, 0.25]).cast(pa.float16())
    assert looked_at(tmp_path, values, **GERMAN)[0].frame["x"].tolist() == [1.5, 1024.0, 0.25]


def test_labels_and_weights_with_a_type_too(tmp_path):
    content = {"id": ["a", "b"], "bad": decimals("0.125", "1.000"), "w": decimals("0.500", "0.125")}
    pq.write_table(pa.table(content), tmp_path / "t.parquet")
    d = load_dictionary(
        {"id": "id", "id_scheme": "opaque", "label": {"column": "bad", "weight": "w", "horizon": "h"}}
    )
    table, _ = examine_table(TableSource(source="t.parquet", **GERMAN), d, base=tmp_path)
    assert table.label.tolist() == [0.125, 1.0]
    assert table.weight.tolist() == [0.5, 0.125]


@pytest.mark.parametrize(
    ("code", "notation"),
    [
        ("-9,5", {"decimal": ","}),
        ("1.234", GERMAN),
        ("0%", {"percent": "share"}),
        ("(1)", {"negative": "parentheses"}),
    ],
)
def test_a_listed_text_is_missing_also_where_it_reads_as_a_number(tmp_path, code, notation):
    column = NUMBER | {"missing_values": [code]}
    table, _ = looked_at(tmp_path, [code, f" {code} ", "2"], column, **notation)
    assert table.frame["x"].isna().tolist() == [True, True, False]


def test_percent_signs_on_some_values_are_asked_about(tmp_path):
    (check,) = looked_at(tmp_path, ["50%", "0.5", "0", "", "2%"], percent="share")[1]
    assert (check.rows, check.severity, check.values) == (1, "warning", ("0.5",))
    assert not looked_at(tmp_path, ["50%", "2%"], percent="share")[1]


@pytest.mark.parametrize("source", ["id", "bad"])
def test_no_screen_shows_ids_or_labels(tmp_path, source):
    column = {
        "name": "c",
        "kind": "category",
        "meaning": "m",
        "categories": ["z"],
        "source": source,
        "feature": False,
    }
    pd.DataFrame({"id": ["s3cret1", "s3cret2"], "bad": ["7", "8"]}).to_csv(tmp_path / "t.csv", index=False)
    d = dictionary(column, {"positive": [7], "negative": [8]})
    checks = examine_table(TableSource(source="t.csv"), d, base=tmp_path)[1]
    (check,) = [c for c in checks if c.column == "c"]
    assert check.at and not check.values


def test_points_are_asked_about_in_texts_alone(tmp_path):
    texts = ["1.234", "12.500", "3.000"]
    assert "three digits" in looked_at(tmp_path, texts)[1][0].rule
    assert not looked_at(tmp_path, decimals(*texts))[1]


@pytest.mark.parametrize("others", [["1", "2"], ["1", "?"]])
def test_a_word_means_the_same_whatever_stands_beside_it(tmp_path, others):
    """Arrow takes NAN and -nan for numbers, but only in a column without any text."""
    _, checks = looked_at(tmp_path, ["NAN", "-nan", "nan", *others])
    assert checks[0].rule == "not a number"
    assert checks[0].rows == 2 + others.count("?")


def test_zero_has_no_sign(tmp_path):
    digests = {looked_at(tmp_path, v)[0].digest for v in (["-0", "-0.0"], ["0", "0"], pa.array([-0.0, 0.0]))}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "text",
    [
        "2024-09-01 8:05",
        "2024/9/1 8:05:03",
        "20240901103000",
        "2024-09-01 10:30:00.000 Asia/Shanghai",
        "2024-09-01T10:30:00+08:00[Asia/Shanghai]",
        "2024-09-01 10:30 AM",
        "2024-09-01Z",
        "2024-09-01+08:00",
        "2024年9月1日 10:30",
        "2024年09月01日10时30分",
        "2024年9月",
        "2024-09-01 23:59:59 GMT",
    ],
)
def test_the_day_is_read_from_what_programs_write(text):
    assert day_of(text) == dt.date(2024, 9, 1)


@pytest.mark.parametrize("text", ["202409", "09/01/2024", "24-09-01", "2024-09-31", "1725148800", "2024-245"])
def test_what_states_no_day_stays_none(text):
    assert day_of(text) is None


def test_days_that_stand_for_none_are_asked_about(tmp_path):
    column = {"name": "x", "kind": "date", "meaning": "m", "feature": False}
    days = ["9999-12-31", "1900-01-01", "2024-01-02"]
    (check,) = looked_at(tmp_path, days, column)[1]
    assert (check.rows, check.severity, check.values) == (2, "warning", ("9999-12-31", "1900-01-01"))
    assert "missing_values" in check.remedy and "9999" not in str(check)
    assert not looked_at(tmp_path, days, column | {"missing_values": days[:2]})[1]


def test_beginnings_of_codes_that_lost_their_zeros_are_asked_about(tmp_path):
    """0111 that became 111 begins with 11, another section."""
    column = CODES | {"prefix": 2}
    (check,) = looked_at(tmp_path, ["111", "1111", "2222"], column)[1]
    assert (check.rows, check.severity) == (1, "warning")
    assert "export the column as text" in check.remedy
    assert not looked_at(tmp_path, ["0111", "1111", "2222"], column)[1]


def test_labels_that_lost_their_zeros_say_so(tmp_path):
    _, checks = looked_at(tmp_path, ["1", "0"], label={"positive": ["01"], "negative": ["00"]})
    assert any("zeros in front of the codes were lost" in c.remedy for c in checks)


def test_a_value_is_a_category_or_missing_and_never_both():
    with pytest.raises(ConfigError, match="categories and missing_values share '22'"):
        dictionary(CODES | {"missing_values": [22]})


def test_an_empty_cell_cannot_be_an_outcome():
    with pytest.raises(ConfigError, match="an empty cell is no label"):
        dictionary(label={"positive": ["Y"], "negative": [""]})


def test_categories_in_another_unicode_form_say_so(tmp_path):
    column = CODES | {"categories": ["caf\u00e9", "b"]}
    assert "Unicode" in looked_at(tmp_path, ["cafe\u0301", "b"], column)[1][0].remedy


def test_whole_decimals_are_ids(tmp_path):
    ids = pa.array([Decimal(103100000026000123), Decimal(7)], pa.decimal128(38, 10))
    pq.write_table(pa.table({"id": ids, "x": [1, 2]}), tmp_path / "t.parquet")
    table = read_table(TableSource(source="t.parquet"), dictionary(), base=tmp_path)
    assert table.ids.tolist() == ["103100000026000123", "7"]
