"""Reading TOML files as editors, Windows and spreadsheets write them, and naming what is wrong with those that are not.

A mark at the front (UTF-8 with BOM) is read over. Text in another encoding, and files that are no TOML at all, are
named as what they are, with the remedy. For an error of syntax the line is looked at for its usual causes.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from fedrisk.errors import ConfigError

_MARKS = {
    b"\xff\xfe": "UTF-16 (Windows calls it Unicode)",
    b"\xfe\xff": "UTF-16 (Windows calls it Unicode)",
    b"PK\x03\x04": "a workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel",
    b"PAR1": "a Parquet table",
    b"SQLite format 3": "an SQLite database",
    b"\x1f\x8b": "packed (gzip)",
    b"%PDF": "a PDF",
}
_UTF8 = 'save it as UTF-8 (in Notepad: Save as, Encoding "UTF-8"; in Excel it cannot be done, use an editor)'


def load_toml(path: Path, *, what: str) -> dict[str, Any]:
    """Read a TOML file; ConfigError names the file and, for a syntax error, line, column and the usual cause."""
    text = _text(path, _bytes(path, what), what)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{what} {path} is not valid TOML: {_syntax(path, text, str(error))}") from None
    except RecursionError:
        raise ConfigError(f"{what} {path} is not valid TOML: brackets are nested too deep") from None


def toml_text(content: Mapping[str, Any]) -> str:
    """A mapping as the text of a TOML file; what is None or an empty section is left out.

    >>> print(toml_text({"name": "s", "privacy": {"epsilon": 1.0, "unit": None}}))
    name = "s"
    <BLANKLINE>
    [privacy]
    epsilon = 1.0
    <BLANKLINE>
    """
    return tomli_w.dumps(_plain(content))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        inner = {str(k): _plain(v) for k, v in value.items() if v is not None}
        return {k: v for k, v in inner.items() if v != {}}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def near_name(word: str, known: list[str], *, cutoff: float = 0.6) -> str:
    """The name that was probably meant, or empty.

    >>> near_name("epsilom", ["epsilon", "delta"]), near_name("x", ["epsilon"])
    ('epsilon', '')
    """
    plain = {name.lower().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), plain, n=1, cutoff=cutoff)
    return plain[found[0]] if found else ""


def _bytes(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{what} {path} does not exist; {_meant(path)}") from None
    except NotADirectoryError:
        raise ConfigError(
            f"{what} {path} does not exist: a part of the path is a file; check the path"
        ) from None
    except IsADirectoryError:
        inside = sorted(p.name for p in path.glob("*.toml"))
        listed = f"; in it are {', '.join(inside[:5])}" if inside else ""
        raise ConfigError(f"{what} {path} is a folder; name the file in it{listed}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such path can be"
        raise ConfigError(f"{what} {path} cannot be read: {reason}; check its permissions") from None


def _meant(path: Path) -> str:
    """Which file was probably meant."""
    try:
        beside = (
            [p.name for p in path.parent.iterdir() if p.suffix == ".toml"] if path.parent.is_dir() else None
        )
    except OSError:
        beside = []
    if beside is None:
        return f"there is no folder {path.parent}; check the path"
    near = near_name(path.name, beside) or near_name(f"{path.name}.toml", beside)
    return f"did you mean {path.parent / near}?" if near else "check the path"


def _text(path: Path, raw: bytes, what: str) -> str:
    """The file's text; ConfigError where it is in another encoding, or no text."""
    for mark, name in _MARKS.items():
        if raw.startswith(mark):
            remedy = _UTF8 if "UTF-16" in name else f"name a TOML file as the {what}"
            raise ConfigError(f"{what} {path} is {name}; {remedy}")
    if not raw.strip():
        raise ConfigError(
            f"{what} {path} is empty; start from a file in configs, or bring it back from its copy"
        )
    if b"\0" in raw:
        name = "UTF-16 without a mark" if raw.count(b"\0") * 3 > len(raw) else "no text file, or damaged"
        raise ConfigError(f"{what} {path} is {name}; {_UTF8}")
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        # Old Macintosh programs end lines by the other sign alone.
        return text if "\n" in text else text.replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        encoding = _other_encoding(raw)
        tool = f", or run: iconv -f {encoding} -t UTF-8 {path.name}" if encoding else ""
        name = f"in {encoding}, not UTF-8" if encoding else "not text in UTF-8"
        raise ConfigError(f"{what} {path} is {name} (line {line}); {_UTF8}{tool}") from None


def _other_encoding(raw: bytes) -> str:
    """GB18030 where the bytes are that (GBK is a part of it), Big5, WINDOWS-1252 for Western text, or empty."""
    for name, shape in (("GB18030", r"[\u4e00-\u9fff]"), ("BIG5", r"[\u4e00-\u9fff]")):
        try:
            text = raw.decode(name)
        except UnicodeDecodeError:
            continue
        if re.search(shape, text) and not re.search(r"[\ue000-\uf8ff]", text):
            return name
    high = sum(byte > 127 for byte in raw)
    printable = all(byte >= 32 or byte in b"\t\r\n" for byte in raw)
    return "WINDOWS-1252" if printable and high * 5 < len(raw) else ""


# --- syntax -------------------------------------------------------------------------------------------------


def _syntax(path: Path, text: str, said: str) -> str:
    """TOML's message with the usual cause of it in words."""
    start = text.lstrip()[:1]
    if path.suffix.lower() in (".json", ".yaml", ".yml") or start == "{" or text.lstrip().startswith("---"):
        kind = "JSON" if start == "{" or path.suffix.lower() == ".json" else "YAML"
        return f"it looks like {kind}; write it as TOML, as the files in configs are"
    found = re.search(r"\(at line (\d+), column (\d+)\)", said)
    lines = text.split("\n")
    if found is None:
        last = next((n for n in range(len(lines), 0, -1) if lines[n - 1].strip()), 1)
        number, where = last, said
    else:
        number = int(found[1])
        where = said.replace(" (at line", " (line").replace("at line", "line")
    # A text or list that is not closed is noticed on the line after it.
    near = [number] if found is None or int(found[2]) > 1 else [number, number - 1]
    for each in near:
        if 1 <= each <= len(lines) and (cause := _cause(lines[each - 1], said)):
            there = f"line {each}: " if each != number else ""
            return f"{where}; {there}{cause}"
    return f"{where}; {_by_message(said)}"


def _by_message(said: str) -> str:
    for words, cause in _MESSAGES:
        if words.lower() in said.lower():
            return cause
    return "look at this line"


def _cause(line: str, said: str) -> str:
    """The usual cause of an error in a line, or empty."""
    code = line.split("#", 1)[0]
    key = code.split("=", 1)[0].strip() or "key"
    value = code.split("=", 1)[1].strip() if "=" in code else ""
    # A URL may hold a password.
    shown = "..." if key in ("source", "query") or len(value) > 40 else value
    for holds, words in _CAUSES:
        if holds(code, value, said):
            return words.format(key=key, value=shown)
    return ""


_BARE = re.compile(r"[^\W\d][\w .,:/\\()-]*$")
Holds = Callable[[str, str, str], bool]
_CAUSES: list[tuple[Holds, str]] = [
    (
        lambda code, value, said: bool(
            re.search(r"[\u201c\u201d\u2018\u2019\u00ab\u00bb\u201e\uff02\u300c\u300d]", code)
        ),
        'it has the quotes of a word processor; write straight ones: "',
    ),
    (
        lambda code, value, said: bool(
            re.search(r"[\uff1d\uff0c\uff3b\uff3d\u3002\uff1a\uff1b\u3010\u3011\u3001]", code)
        ),
        "it has full-width signs; write = , [ ] in ASCII",
    ),
    (
        lambda code, value, said: bool(
            re.search(r"[\u00a0\u2007\u202f\u200b\u200e\u200f\u3000\ufeff\u2028]", code)
        ),
        "it has an invisible sign or a space that is none (copied from a page or a document); type the line again",
    ),
    (
        lambda code, value, said: "overwrite" in said and bool(value),
        "{key} stands twice in its section; remove one of the two",
    ),
    (
        lambda code, value, said: "declare" in said or ("overwrite" in said and code.strip().startswith("[")),
        "this section stands twice; put its keys under one heading",
    ),
    (
        lambda code, value, said: "\\" in value and ("escape" in said.lower() or "hex" in said.lower()),
        "in a text in double quotes \\ begins a sign of its own; write paths with / or in single quotes",
    ),
    (
        lambda code, value, said: value in ("True", "False", "TRUE", "FALSE", "yes", "no", "Yes", "No"),
        "write true or false, small",
    ),
    (
        lambda code, value, said: bool(re.fullmatch(r"[-+]?\d+,\d+", value)),
        "a number has a point, not a comma, before its decimals",
    ),
    (
        lambda code, value, said: bool(re.fullmatch(r"[-+]?[\d.]+ ?%", value)),
        "write a share as a number, such as 0.3 for 30 %",
    ),
    (
        lambda code, value, said: bool(re.fullmatch(r"[-+]?0\d+(\.\d*)?", value)),
        'a number begins with no zero; write it without, or in quotes where it is a code: {key} = "{value}"',
    ),
    (
        lambda code, value, said: bool(re.match(r"\d{4}-\d|\d{1,2}[./]\d{1,2}[./]\d", value)),
        "there is no such day; write year, month and day as 2025-12-31",
    ),
    (lambda code, value, said: value.endswith(";"), "a line ends without ;"),
    (lambda code, value, said: code.strip().startswith(("//", "/*", ";")), "a remark begins with #"),
    (lambda code, value, said: "=" in code and not value, "{key} has no value; give one, or remove the line"),
    (
        lambda code, value, said: value[:1] in ("'", '"') and value.count(value[0]) % 2 == 1,
        "the text is not closed; put the quote at its end",
    ),
    (
        lambda code, value, said: value[:1] not in ("'", '"', "[", "{", "") and bool(_BARE.match(value)),
        'a text stands in quotes: {key} = "{value}"',
    ),
    (
        lambda code, value, said: "=" not in code and bool(re.match(r"\s*[\w.\"'-]+\s*:", code)),
        "a key and its value are joined by =, not by :",
    ),
    (
        lambda code, value, said: (
            code.strip().startswith("[") and code.count("[") != code.count("]") and not value
        ),
        "the heading of a section is not closed; write [name], or [[name]] for one of several",
    ),
    (lambda code, value, said: value.count("[") > value.count("]"), "a list is not closed; put ] at its end"),
    (
        lambda code, value, said: value.count("{") > value.count("}"),
        "an inline table stands on one line and ends with }}",
    ),
]
_MESSAGES = [
    ("unclosed array", "a list is not closed; put ] at its end, and a comma between its entries"),
    ("unterminated string", "a text is not closed; put the quote at its end"),
    ("unclosed inline table", "an inline table stands on one line and ends with }"),
    ("expected '=' after a key", "after a key come = and its value"),
    (
        "expected newline",
        "there is more on the line than a key and its value; begin a new line, or quote the text",
    ),
    (
        "invalid value",
        "a value is a text in quotes, a number, true, false, a date, a list [ ] or a table { }",
    ),
    ("invalid statement", "a line is a key = value, a [section] or a # remark"),
    ("illegal character", "an invisible sign stands here; type the line again"),
]
