"""Files as editors, Windows and spreadsheets write them: read, or named as what they are, with the remedy."""

import pytest

from fedrisk.errors import ConfigError
from fedrisk.toml_file import load_toml

GOOD = 'name = "s"\npurpose = "credit_scoring"\n[privacy]\nepsilon = 1.0\n'
CONTENT = {"name": "s", "purpose": "credit_scoring", "privacy": {"epsilon": 1.0}}


def refused(path):
    with pytest.raises(ConfigError) as caught:
        load_toml(path, what="study")
    text = str(caught.value)
    assert text.startswith(f"study {path} ")
    return text


@pytest.mark.parametrize(
    "raw",
    [
        GOOD.encode(),
        GOOD.encode("utf-8-sig"),
        GOOD.replace("\n", "\r\n").encode("utf-8-sig"),
        GOOD.replace("\n", "\r").encode(),
        GOOD.replace("name", "\tname").encode(),
    ],
    ids=["plain", "mark", "windows", "old mac", "tab"],
)
def test_what_can_be_read_is_read(tmp_path, raw):
    (tmp_path / "s.toml").write_bytes(raw)
    assert load_toml(tmp_path / "s.toml", what="study") == CONTENT


@pytest.mark.parametrize(
    ("raw", "is_", "remedy"),
    [
        (
            ("# \u94f6\u884c\u8bc4\u5206\n" + GOOD).encode("gbk"),
            "in GB18030, not UTF-8 (line 1)",
            "iconv -f GB18030",
        ),
        (GOOD.encode("utf-16"), "is UTF-16", "save it as UTF-8"),
        (GOOD.encode("utf-16-le"), "is UTF-16", "save it as UTF-8"),
        (("# \u00e9t\u00e9\n" + GOOD).encode("latin-1"), "in WINDOWS-1252", "iconv -f WINDOWS-1252"),
        (b"", "is empty", "start from a file in configs"),
        (b" \n", "is empty", "start from a file in configs"),
        (b"PK\x03\x04abc", "is a workbook", "name a TOML file"),
        (bytes(range(256)), "no text file, or damaged", "save it as UTF-8"),
        (b'{"name": "s"}', "looks like JSON", "write it as TOML"),
        (b"---\nname: s\n", "looks like YAML", "write it as TOML"),
    ],
)
def test_other_files_are_named_as_what_they_are(tmp_path, raw, is_, remedy):
    (tmp_path / "s.toml").write_bytes(raw)
    text = refused(tmp_path / "s.toml")
    assert is_ in text and remedy in text


@pytest.mark.parametrize(
    ("old", "new", "line", "cause"),
    [
        ('"s"', "\u201cs\u201d", 1, "the quotes of a word processor"),
        ('"s"', "s", 1, 'a text stands in quotes: name = "s"'),
        ('"s"', '"s', 1, "the text is not closed"),
        ('name = "s"', 'name = "s"\nname = "t"', 2, "name stands twice"),
        ("[privacy]", "[privacy]\n[privacy]", 4, "this section stands twice"),
        ("1.0", "1,0", 4, "a number has a point, not a comma"),
        ("1.0", "30 %", 4, "write a share as a number"),
        ("1.0", "True", 4, "write true or false, small"),
        ("1.0", "007", 4, "a number begins with no zero"),
        ("1.0", "2025-13-01", 4, "there is no such day"),
        ("1.0", "", 4, "epsilon has no value"),
        ('"s"', '"C:\\data\\x"', 1, "write paths with / or in single quotes"),
        ('"s"', '"s";', 1, "a line ends without ;"),
        ('name = "s"', 'name: "s"', 1, "joined by =, not by :"),
        ("name =", "// name\nname =", 1, "a remark begins with #"),
        ("name =", "name\u00a0=", 1, "an invisible sign or a space that is none"),
        ("name =", "name \uff1d", 1, "full-width signs"),
        ("[privacy]", "[privacy", 3, "the heading of a section is not closed"),
    ],
)
def test_syntax_errors_say_line_and_cause(tmp_path, old, new, line, cause):
    (tmp_path / "s.toml").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    text = refused(tmp_path / "s.toml")
    assert "is not valid TOML" in text and f"line {line}, column " in text
    assert cause in text


def test_a_url_with_a_password_is_not_repeated(tmp_path):
    (tmp_path / "s.toml").write_text("source = postgresql://me:secret@host/db\n", encoding="utf-8")
    assert "secret" not in refused(tmp_path / "s.toml")


def test_paths_that_lead_to_no_file(tmp_path):
    (tmp_path / "study.toml").write_text(GOOD, encoding="utf-8")
    assert f"does not exist; did you mean {tmp_path}/study.toml?" in refused(tmp_path / "stduy.toml")
    assert f"does not exist; did you mean {tmp_path}/study.toml?" in refused(tmp_path / "study")
    assert f"there is no folder {tmp_path}/x" in refused(tmp_path / "x" / "y.toml")
    assert "is a folder; name the file in it; in it are study.toml" in refused(tmp_path)
    assert "a part of the path is a file" in refused(tmp_path / "study.toml" / "x")
