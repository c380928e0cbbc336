"""Files that are not the CSV they should be: each is named, with the setting to write, and no text holds a value."""

import gzip
import io
import traceback
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.source import TableSource, read_header, read_texts
from fedrisk.data.table import examine_table, read_table
from fedrisk.errors import DataError

CANARY = "7742191337"
NUMBER = {"kind": "number", "meaning": "m", "low": 0, "high": 1e12}
DICTIONARY = load_dictionary(
    {
        "id": "id",
        "id_scheme": "opaque",
        "columns": [
            {"name": "income", **NUMBER},
            {
                "name": "sector",
                "kind": "category",
                "meaning": "m",
                "categories": ["trade", "贸易"],
                "outside": 1,
            },
        ],
    }
)
PLAIN = f"id,income,sector\n{CANARY},10,trade\nb,20.5,trade\nc,,x\n"
CHINESE = "id,income,sector\n" + "".join(f"i{k},{k},贸易公司的销售收入\n" for k in range(20))
TRADITIONAL = CHINESE.replace("贸易公司的销售收入", "貿易公司的銷售收入")
FRENCH = "id,income,sector\n" + "".join(f"i{k},{k},société à Besançon\n" for k in range(20))


def workbook(member):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(member, "<x/>")
    return packed.getvalue()


def read(folder, content, name="t.csv", **fields):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(TableSource(source=name, **fields), DICTIONARY, base=folder)


def parquet():
    out = io.BytesIO()
    pd.DataFrame({"id": ["a"]}).to_parquet(out)
    return out.getvalue()


REFUSED = {
    "semicolons": (PLAIN.replace(",", ";"), 'separated by ";", not ","; write delimiter = ";" in [table]'),
    "semicolons and decimal commas": (
        PLAIN.replace(",", ";").replace(".", ","),
        'separated by ";", not ","; write delimiter = ";" in [table]',
    ),
    "tabs": (PLAIN.replace(",", "\t"), 'write delimiter = "\\t" in [table]'),
    "pipes": (PLAIN.replace(",", "|"), 'write delimiter = "|" in [table]'),
    "a title": (
        "Report of 2024\n" + PLAIN,
        "names of its columns are in row 2; write skip_rows = 1 in [table]",
    ),
    "a title of several fields, and a blank line": (
        "Report,of,2024\n\n" + PLAIN,
        "names of its columns are in row 3; write skip_rows = 2 in [table]",
    ),
    "a title and semicolons": (
        "Report;2024\n" + PLAIN.replace(",", ";"),
        'write delimiter = ";" and skip_rows = 1 in [table]',
    ),
    "the line for a spreadsheet": (
        "sep=;\n" + PLAIN.replace(",", ";"),
        'write delimiter = ";" and skip_rows = 1 in [table]',
    ),
    "another case": (PLAIN.replace("income", "Income"), 'did you mean "Income"?'),
    "a misspelt name": (PLAIN.replace("income", "incone"), 'did you mean "incone"?'),
    "no names": (PLAIN.partition("\n")[2], "has no names of columns in its first row"),
    "names twice": (PLAIN.replace("sector", "income"), "several columns of the table have this name"),
    "full-width commas": (
        PLAIN.replace(",", "，"),
        'separated by the full-width "，"; replace it by a comma',
    ),
    "a delimiter at the end of each row": (
        "id,income,sector\na,1,trade,\nb,2,trade,\n",
        "every row has one field more than the header",
    ),
    "Windows": ("id,income,sector\na,1,\x80 5\n".encode("latin-1"), 'write encoding = "cp1252"'),
    "xlsx": (workbook("xl/workbook.xml"), "is an Excel workbook (.xlsx); save the sheet as CSV"),
    "ods": (workbook("content.xml"), "is a spreadsheet (.ods); save the sheet as CSV"),
    "zip": (workbook("t.csv"), "is a zip archive; unpack it"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an Excel workbook (.xls)"),
    "gzip": (gzip.compress(PLAIN.encode()), "is compressed by gzip; let its name end in .csv.gz"),
    "parquet": (parquet(), "is a Parquet file; let its name end in .parquet"),
    "sqlite": (b"SQLite format 3\0" + bytes(90), "is an SQLite database"),
    "html": ("<html><table><tr><td>id</td></tr></table></html>", "is a web page (HTML), not CSV"),
    "an html workbook": ('<?xml version="1.0"?>\n<Workbook>', "is XML, not CSV"),
    "json lines": ('{"id": "a", "income": 1}\n', "is JSON, not CSV"),
    "json": ('[\n {"id": "a", "income": 1}]\n', "is JSON, not CSV"),
    "utf-16": (PLAIN.encode("utf-16"), 'looks like utf-16, so write encoding = "utf-16"'),
    "utf-16 without a mark": (PLAIN.encode("utf-16-le"), 'write encoding = "utf-16-le"'),
    "utf-16 big end first": (PLAIN.encode("utf-16-be"), 'write encoding = "utf-16-be"'),
    "utf-32": (PLAIN.encode("utf-32"), 'write encoding = "utf-32"'),
    "gbk": (CHINESE.encode("gbk"), 'write encoding = "gb18030"'),
    "big5": (TRADITIONAL.encode("big5"), 'write encoding = "big5"'),
    "latin-1": (FRENCH.encode("latin-1"), 'write encoding = "latin-1"'),
    "a stray byte": (CHINESE.encode() + b"x,\xff,\n", "not in encoding utf-8 (the first in row 22)"),
    "a stray byte far below": (
        ("id,income,sector\n" + "".join(f"i{k},1,贸易\n" for k in range(20000))).encode() + b"x,1,\xff\n",
        "not in encoding utf-8 (the first in row 20002)",
    ),
    "gbk far below": (
        ("id,income,sector\n" + "i,1,trade\n" * 30000).encode() + CHINESE.encode("gbk"),
        'write encoding = "gb18030"',
    ),
    "empty": (b"", "is empty; export it again"),
    "blank": (b"\n \n", "is empty; export it again"),
    "a mark alone": (b"\xef\xbb\xbf", "is empty; export it again"),
    "a header alone": ("id,income,sector\n", "has no rows; the file has a header alone"),
    "a header without a line end": ("id,income,sector", "has no rows; the file has a header alone"),
    "a longer row": (PLAIN + "d,1,trade,x\n", "row 5 has 4 fields, the header 3 (1 such rows)"),
    "a shorter row": (PLAIN + "d\n", "row 5 has 1 fields, the header 3 (1 such rows)"),
    "thousands that are not in quotes": (PLAIN + "d,1,234,trade\n", "row 5 has 4 fields"),
    "an open quote at the end": (PLAIN + 'd,1,"trade\ne,2,trade\n', "a quote in row 5 that is never closed"),
    "an open quote at the beginning": (
        PLAIN + '"d,1,trade\ne,2,trade\n',
        "a quote in row 5 that is never closed",
    ),
    "an open quote above much": (
        'id,income,sector\nx,1,"trade\n' + "i,1,trade\n" * 30000,
        "a quote in row 2 that is never closed",
    ),
    "NUL": (PLAIN.replace("10", "1\x000"), "holds NUL characters (the first in row 2)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_each_kind_of_file_is_named_with_its_remedy(tmp_path, kind):
    content, words = REFUSED[kind]
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert words in str(caught.value)
    assert "table t.csv: " in str(caught.value)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


READ = {
    "a mark at the front": (b"\xef\xbb\xbf" + PLAIN.encode(), {}),
    "a mark, said": (b"\xef\xbb\xbf" + PLAIN.encode(), {"encoding": "utf-8-sig"}),
    "no mark, though said": (PLAIN, {"encoding": "utf-8-sig"}),
    "line ends of Windows": (PLAIN.replace("\n", "\r\n"), {}),
    "line ends of old Macs": (PLAIN.replace("\n", "\r"), {}),
    "names with space": (PLAIN.replace("id,income", " id ,\u00a0income"), {}),
    "names in quotes": (PLAIN.replace("id,income", '"id","income"'), {}),
    "a mark in front of a quoted name": (b'\xef\xbb\xbf"id"' + PLAIN[2:].encode(), {}),
    "blank lines": ("\n" + PLAIN.replace("\n", "\n\n"), {}),
    "a quote within a value": (PLAIN.replace("x", '5" x'), {}),
    "semicolons": (PLAIN.replace(",", ";"), {"delimiter": ";"}),
    "tabs": (PLAIN.replace(",", "\t"), {"delimiter": "tab"}),
    "tabs, escaped": (PLAIN.replace(",", "\t"), {"delimiter": "\\t"}),
    "a title": ("Report\n" + PLAIN, {"skip_rows": 1}),
    "two titles": ('Report,"of"\n\n' + PLAIN, {"skip_rows": 2}),
    "decimal commas": (PLAIN.replace(",", ";").replace(".", ","), {"delimiter": ";", "decimal": ","}),
    "decimal commas in quotes": (PLAIN.replace("20.5", '"20,5"'), {"decimal": ","}),
    "utf-16": (PLAIN.encode("utf-16"), {"encoding": "utf-16"}),
    "utf-16 and tabs": (PLAIN.replace(",", "\t").encode("utf-16"), {"encoding": "utf-16", "delimiter": "\t"}),
    "gb18030": (PLAIN.encode("gb18030"), {"encoding": "gb18030"}),
}


@pytest.mark.parametrize("kind", READ)
def test_what_can_be_read_is_read_alike(tmp_path, kind):
    content, fields = READ[kind]
    assert read(tmp_path, content, **fields).digest == read(tmp_path, PLAIN).digest


def test_settings_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(DataError, match=r'looks like utf-8, so write encoding = "utf-8"'):
        read(tmp_path, CHINESE, encoding="gb18030")
    with pytest.raises(DataError, match=r'looks like utf-8, so write encoding = "utf-8"'):
        read(tmp_path, CHINESE, encoding="latin-1")
    for encoding in ("utf-16", "utf-16-le"):
        with pytest.raises(DataError, match='looks like utf-8, so write encoding = "utf-8"'):
            read(tmp_path, PLAIN + " ", encoding=encoding)
    with pytest.raises(DataError, match="encoding hex is not known"):
        read(tmp_path, PLAIN, encoding="hex")
    with pytest.raises(DataError, match='separated by ",", not ";"; write delimiter = ","'):
        read(tmp_path, PLAIN, delimiter=";")
    with pytest.raises(DataError, match="names of its columns are in row 1; write skip_rows = 0"):
        read(tmp_path, PLAIN, skip_rows=1)
    with pytest.raises(DataError, match="no row of names below skip_rows = 9"):
        read(tmp_path, PLAIN, skip_rows=9)
    with pytest.raises(DataError, match=r"not compressed, though its name ends in \.gz"):
        read(tmp_path, PLAIN, "t.csv.gz")
    with pytest.raises(DataError, match="cannot be read|cut off"):
        read(tmp_path, gzip.compress(PLAIN.encode() * 99)[:-30], "t.csv.gz")
    with pytest.raises(DataError, match=r"is no Parquet file; if it is text, let its name end in \.csv"):
        read(tmp_path, PLAIN, "t.parquet")
    with pytest.raises(DataError, match="is an Excel workbook"):
        read(tmp_path, workbook("xl/workbook.xml"), "t.parquet")
    with pytest.raises(DataError, match="Parquet file that was cut off"):
        read(tmp_path, parquet()[:-9], "t.parquet")
    with pytest.raises(DataError, match="is empty"):
        read(tmp_path, b"", "t.parquet")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"delimiter": "||"}, "one character"),
        ({"delimiter": '"'}, "one character"),
        ({"decimal": ".", "thousands": "."}, 'both "."; write decimal = ","'),
        ({"decimal": ";"}, "decimal"),
        ({"percent": "half"}, "percent"),
        ({"currency": "1"}, "without digits"),
        ({"skip_rows": -1}, "skip_rows"),
        ({"source": "t.parquet", "delimiter": ";"}, "delimiter is for CSV only"),
        ({"source": "t.xlsx"}, "save the sheet of the workbook as CSV"),
        ({"source": "t.tsv"}, "rename the file to .csv"),
    ],
)
def test_settings_are_checked(fields, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        TableSource(**{"source": "t.csv", **fields})


def test_headers_and_texts_without_a_dictionary(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf id,code\na,0101\n\xc2\xa0b ,\nNA,1E3\n")
    source = TableSource(source="t.csv")
    assert read_header(source, tmp_path) == ["id", "code"]
    (block,) = read_texts(source, tmp_path)
    assert block.to_dict("list") == {"id": ["a", "\u00a0b ", "NA"], "code": ["0101", None, "1E3"]}
    assert next(read_texts(source, tmp_path, ["code"]))["code"].tolist() == ["0101", None, "1E3"]
    with pytest.raises(DataError, match='Code: column is not in the table; did you mean "code"'):
        next(read_texts(source, tmp_path, ["Code"]))
    for content, words in (
        ("id;code\na;1\nb;2\n", 'delimiter = ";"'),
        ("Report\nid,code\na,1\n", "skip_rows = 1"),
    ):
        (tmp_path / "t.csv").write_text(content)
        with pytest.raises(DataError, match=words):
            read_header(source, tmp_path)


NOTATIONS = {
    "decimal commas": (["1,5", "20,25", "3"], 'write decimal = "," in [table]'),
    "decimal commas and points for thousands": (
        ["1.234,56", "20,25"],
        'write decimal = "," and thousands = "." in',
    ),
    "thousands": (["1,234.50", "1,234,567"], 'write thousands = "," in [table]'),
    "thousands or decimals": (["1,234", "9,999"], 'write thousands = ",", or decimal = "," in [table]'),
    "spaces": (["1 234 567", "1\u00a0234"], 'write thousands = " " in [table]'),
    "apostrophes": (["1'234'567.5", "1’234"], 'write thousands = "\'" in [table]'),
    "percent": (["12.5%", "3 %"], 'write percent = "share", or percent = "points" in [table]'),
    "percent with decimal commas": (
        ["12,5%", "3,25%"],
        'write decimal = "," and percent = "share", or decimal',
    ),
    "yuan": (["￥1200", "¥35.5"], 'write currency = "¥" in [table]'),
    "yuan and thousands": (["￥1,200.00", "￥35.5"], 'write thousands = "," and currency = "¥" in [table]'),
    "parentheses": (["(123)", "(4.5)"], 'write negative = "parentheses" in [table]'),
    "a unit": (["1.2万", "3万"], "a unit stands behind the numbers"),
    "errors of formulas": (["#DIV/0!", "#REF!"], "errors of a spreadsheet's formulas"),
    "the name again": (["income"], "some rows hold the names of columns again"),
    "trailing minus": (["123-", "4.5-"], 'write negative = "trailing" in [table]'),
}


@pytest.mark.parametrize("kind", NOTATIONS)
def test_numbers_in_another_notation_are_named_with_the_keys(tmp_path, kind):
    values, words = NOTATIONS[kind]
    frame = pd.DataFrame({"id": [f"i{k}" for k in range(len(values))], "income": values, "sector": "trade"})
    frame.to_csv(tmp_path / "t.csv", index=False)
    (check,) = (
        c
        for c in examine_table(TableSource(source="t.csv"), DICTIONARY, base=tmp_path)[1]
        if c.severity == "error"
    )
    assert words in check.remedy, check.remedy
    assert not any(v in str(check) for v in values if len(v) > 2 and v != check.column)
    assert check.at and set(check.values) <= set(values)


def test_a_compressed_file_with_a_mark_is_read(tmp_path):
    marked = gzip.compress(b"\xef\xbb\xbf" + PLAIN.encode())
    assert read(tmp_path, marked, "t.csv.gz").digest == read(tmp_path, PLAIN).digest


def test_old_moments_keep_their_year_and_names_may_hold_points(tmp_path):
    frame = pd.DataFrame(
        {"a.id": ["a", "b"], "day": pd.Series(["9999-12-31", "2024-09-01"], dtype="datetime64[us]")}
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, tmp_path / "t.parquet", use_deprecated_int96_timestamps=True)
    day = {"name": "day", "kind": "date", "meaning": "m", "feature": False}
    d = load_dictionary({"id": "a.id", "id_scheme": "opaque", "columns": [day]})
    found = read_table(TableSource(source="t.parquet"), d, base=tmp_path)
    assert [str(v)[:10] for v in found.frame["day"]] == ["9999-12-31", "2024-09-01"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+nosuchdriver://u:s3cret@h/d", "cannot be read"),
        (
            "oracle+oracledb://u:s3cret@h/d",
            "driver oracledb of this database is not installed; pip install oracledb",
        ),
        ("postgresql+psycopg://u:s3:cret@h:s3cret/d", "cannot be read"),
        ("nosuch://u:s3cret@h/d", "cannot be read"),
        ("postgresql://u:s3cret@no.such.host.invalid/d", "does not answer; check host and port"),
    ],
)
def test_a_database_that_cannot_be_opened_is_named_without_its_password(tmp_path, url, words):
    with pytest.raises(DataError, match=words) as caught:
        read_table(TableSource(source=url, query="SELECT 1 AS id"), DICTIONARY, base=tmp_path)
    assert "cret" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


CATEGORIES = {
    "scientific notation": (["1.031E+17", "1.032E+17"], "lost their digits: export the column as text"),
    "zeros in front": (["1", "2.0"], "zeros in front of the codes were lost"),
    "case": (["TRADE", "Trade"], "upper and lower case differ"),
    "full width": (["ｔｒａｄｅ"], "full-width characters"),
    "something else": (["tr"], "add the category"),
}


@pytest.mark.parametrize("kind", CATEGORIES)
def test_why_categories_are_not_listed_is_said(tmp_path, kind):
    values, words = CATEGORIES[kind]
    listed = ["trade", "01", "02", "103100000026000123"]
    column = {"name": "sector", "kind": "category", "meaning": "m", "categories": listed}
    d = load_dictionary({"id": "id", "id_scheme": "opaque", "columns": [column]})
    pd.DataFrame({"id": range(len(values)), "sector": values}).to_csv(tmp_path / "t.csv", index=False)
    (check,) = (
        c for c in examine_table(TableSource(source="t.csv"), d, base=tmp_path)[1] if c.severity == "error"
    )
    assert words in check.remedy and set(check.values) == set(values)
