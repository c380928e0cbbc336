"""What a file is that is not the CSV it should be: named, with the setting to write, and never guessed at silently.

Nothing here changes how a table is read. Each function looks at the beginning of a file, or at all of it once a
reader has failed, and says in words what it found: a workbook, another encoding, another delimiter, a title above the
names, a quote that is never closed. No text holds a value.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from fedrisk.data.text import number_of, trim
from fedrisk.errors import DataError

SAMPLE = 1 << 18
"""Bytes at the beginning of a file that are looked at."""

TITLES = 20
"""Most rows above the names of columns that are looked at."""

DELIMITERS = (",", ";", "\t", "|", "^", "\x01", "，", "；", ":", " ")

_EXPORT = "save the sheet as CSV (UTF-8), and name that file as source"
_CONVERT = "export the table as CSV or Parquet"
_SIGNS = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", _EXPORT),
    (b"PAR1", "a Parquet file", "let its name end in .parquet"),
    (b"\x1f\x8b", "compressed by gzip", "let its name end in .csv.gz"),
    (b"SQLite format 3\0", "an SQLite database", 'write source = "sqlite:///PATH" and a query'),
    (b"ORC", "an ORC file", _CONVERT),
    (b"ARROW1", "an Arrow (Feather) file", _CONVERT),
    (b"Obj\x01", "an Avro file", _CONVERT),
    (b"$FL2", "an SPSS file", _CONVERT),
    (b"\x89HDF", "an HDF5 file", _CONVERT),
    (b"%PDF", "a PDF", _CONVERT),
    (b"\x80\x04", "a pickled Python object", _CONVERT),
    (b"BZh", "compressed by bzip2", "unpack it"),
    (b"\xfd7zXZ", "compressed by xz", "unpack it"),
    (b"(\xb5/\xfd", "compressed by zstd", "unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"\0" * 12 + b"\xc2\xea\x81\x60", "a SAS data set", _CONVERT),
    (b"HEADER RECORD*******", "a SAS transport file", _CONVERT),
    (b"<stata_dta>", "a Stata file", _CONVERT),
    (b"{\\rtf", "formatted text (RTF)", _CONVERT),
)
_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARKUP = (
    (re.compile(r"<(!doctype html|html|head|body|table)\b", re.I), "a web page (HTML)"),
    (re.compile(r"<\?xml\b|<[A-Za-z]+[ >]"), "XML"),
    (re.compile(r"[{]\s*\"|\[\s*[{\[]"), "JSON"),
)
_NAMES = {"\t": "\\t", "\x01": "\\u0001"}


def open_bytes(path: Path) -> IO[bytes]:
    """A file's content, unpacked where its name ends in .gz."""
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def codec(encoding: str) -> codecs.CodecInfo:
    """The codec of a text encoding; DataError where there is none."""
    try:
        found = codecs.lookup(encoding)
    except LookupError:
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise DataError(
            f'encoding {encoding} is not known; write for example "utf-8", "gb18030", "big5", "utf-16" or "latin-1"'
        )
    return found


def is_utf8(encoding: str) -> bool:
    """Whether it is UTF-8, with or without a mark at the front."""
    return codec(encoding).name in ("utf-8", "utf-8-sig")


def sample(path: Path, encoding: str) -> str:
    """The beginning of a CSV as text, without a mark at the front.

    Raises:
        DataError: it is another kind of file, or in another encoding; says which, and what to write.
    """
    try:
        with open_bytes(path) as file:
            content = file.read(SAMPLE)
    except gzip.BadGzipFile:
        raise DataError("is not compressed, though its name ends in .gz; let it end in .csv") from None
    except EOFError:
        raise DataError("is cut off in the middle; copy it again") from None
    _refuse_other_kinds(path, content)
    _refuse_other_encodings(content, encoding)
    text = codec(encoding).incrementaldecoder("strict").decode(content).removeprefix("\ufeff")
    for pattern, what in _MARKUP:
        if pattern.match(text.lstrip()):
            raise DataError(f"is {what}, not CSV; {_CONVERT}")
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"holds NUL characters (the first in row {row}); export it again without them")
    if not text.strip():
        raise DataError("is empty; export it again")
    return text


def refuse_other_than_parquet(path: Path) -> None:
    """DataError where a .parquet file is something else, or cut off."""
    with path.open("rb") as file:
        head = file.read(4096)
        file.seek(max(0, path.stat().st_size - 4))
        tail = file.read(4)
    if not head:
        raise DataError("is empty; export it again")
    if head.startswith(b"PAR1"):
        if tail != b"PAR1":
            raise DataError("cannot be read: it is a Parquet file that was cut off; copy it again")
        return
    _refuse_other_kinds(path, head)
    raise DataError("is no Parquet file; if it is text, let its name end in .csv")


def _refuse_other_kinds(path: Path, content: bytes) -> None:
    if not content:
        raise DataError("is empty; export it again")
    if content.startswith(b"PK\x03\x04"):
        what, remedy = _packed(path)
        raise DataError(f"is {what}; {remedy}")
    for sign, what, remedy in _SIGNS:
        if content.startswith(sign):
            raise DataError(f"is {what}; {remedy}")


def _packed(path: Path) -> tuple[str, str]:
    """What a zip file holds: a workbook is one."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
    except (zipfile.BadZipFile, OSError):
        names = []
    if any(n.startswith("xl/") for n in names):
        return "an Excel workbook (.xlsx)", _EXPORT
    if "content.xml" in names:
        return "a spreadsheet (.ods)", _EXPORT
    return "a zip archive", "unpack it"


# --- encodings --------------------------------------------------------------------------------------------


def _refuse_other_encodings(content: bytes, encoding: str) -> None:
    """DataError where the bytes are clearly text of another encoding than the one that is stated."""
    name = codec(encoding).name
    wide = _wide(content)
    if name.startswith(("utf-16", "utf-32")):
        # Bytes of other text are mostly some characters of these too.
        narrow = "utf-8" if _decoded(content, "utf-8") is not None else _guess(content)
        found = narrow if wide is None and 0 not in content else None
    else:
        found = wide or _other_encoding(content, name)
    if found is not None:
        raise DataError(f"is not in encoding {encoding}; {_looks_like(found)}")
    try:
        codec(encoding).incrementaldecoder("strict").decode(content)
    except UnicodeDecodeError as error:
        raise DataError(_stray(content, error.start, encoding)) from None


def _wide(content: bytes) -> str | None:
    """UTF-16 or UTF-32 by its mark, or by the zero bytes of its ASCII characters."""
    for mark, name in _WIDE_MARKS:
        if content.startswith(mark):
            return name
    head = content[:4096]
    if head.count(0) < 0.2 * len(head):
        return None
    return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"


def _other_encoding(content: bytes, name: str) -> str | None:
    if content.isascii():
        return None
    unicode = _decoded(content, "utf-8")
    if unicode is not None:
        # Text of another encoding is hardly ever valid UTF-8 by accident, once there are some characters of it.
        many = sum(not c.isascii() for c in unicode) > 3
        return None if name in ("utf-8", "utf-8-sig") or not many else "utf-8"
    if _decoded(content, name) is not None and name != "utf-8":
        return None
    return _guess(content) if not _mostly_utf8(content) else None


def _decoded(content: bytes, name: str) -> str | None:
    try:
        return codec(name).incrementaldecoder("strict").decode(content)
    except UnicodeDecodeError:
        return None


def _mostly_utf8(content: bytes) -> bool:
    text = content.decode("utf-8", errors="replace")
    wrong = text.count("\ufffd")
    return sum(not c.isascii() for c in text) > 10 * wrong


def _guess(content: bytes) -> str:
    """The likeliest encoding of text that is no UTF-8: by how many of its characters are frequent ones."""
    # The range that latin-1 keeps for control characters has signs in the encoding of Windows.
    best, share = "cp1252" if re.search(rb"[\x80-\x9f]", content) else "latin-1", 0.5
    # Both standards have their frequent characters in one range of first bytes.
    for name, table, first, last in (("gb18030", "gb2312", 0xB0, 0xD7), ("big5", "big5", 0xA4, 0xC6)):
        text = _decoded(content, name)
        if text is None:
            continue
        foreign = [c for c in text if not c.isascii()]
        frequent = sum(first <= c.encode(table, "replace")[0] <= last for c in foreign)
        if frequent > share * len(foreign):
            best, share = name, frequent / len(foreign)
    return best


def _stray(content: bytes, start: int, encoding: str) -> str:
    row = content[:start].count(b"\n") + 1
    return (
        f"has bytes that are not in encoding {encoding} (the first in row {row}); "
        "check the file, its encoding, or correct these rows"
    )


# --- rows and fields --------------------------------------------------------------------------------------


def records(text: str, delimiter: str, most: int = TITLES + 1) -> Iterator[tuple[int, list[str]]]:
    """The first rows that are not blank, each with the number of lines before it."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    before, given = 0, 0
    while given < most:
        try:
            row = next(reader)
        except (StopIteration, csv.Error):
            return
        if row:
            yield before, row
            given += 1
        before = reader.line_num


def explain_header(
    text: str, delimiter: str, skipped: int, header: Sequence[str], wanted: Sequence[str]
) -> None:
    """DataError where another delimiter or a later row would give (more of) the wanted names.

    Args:
        text: beginning of the file.
        delimiter: as stated.
        skipped: rows left out above the names, as stated.
        header: the names that this gives.
        wanted: the names that are looked for; empty where every table will do.

    A header that lacks some names for no such reason is left to others, unless its fields are numbers.
    """
    if not wanted:
        _explain_shape(text, delimiter, skipped, header)
        return
    names = {w.casefold() for w in wanted}
    have = _hits(header, names)
    if have == len(names):
        return
    best, where = have, (delimiter, skipped)
    for other in dict.fromkeys((delimiter, *DELIMITERS)):
        for before, row in records(text, other):
            if _hits(row, names) > best:
                best, where = _hits(row, names), (other, before)
    if best > have:
        raise DataError(_say(*where, delimiter, skipped))
    if not have and any(number_of(field) is not None for field in header):
        raise DataError(
            "has no names of columns in its first row (some of its fields are numbers); write the names as first row"
        )


def _hits(row: Sequence[str], names: set[str]) -> int:
    return len({trim(field).casefold() for field in row} & names)


def _say(found: str, before: int, delimiter: str, skipped: int) -> str:
    words, keys = [], []
    if not found.isascii():
        return f'its fields are separated by the full-width "{found}"; replace it by a comma in the file'
    if found != delimiter:
        shown, stated = (_NAMES.get(d, d) for d in (found, delimiter))
        words.append(f'its fields are separated by "{shown}", not "{stated}"')
        keys.append(f'delimiter = "{shown}"')
    if before != skipped:
        words.append(f"the names of its columns are in row {before + 1}")
        keys.append(f"skip_rows = {before}")
    return f"{' and '.join(words)}; write {' and '.join(keys)} in [table]"


def _explain_shape(text: str, delimiter: str, skipped: int, header: Sequence[str]) -> None:
    """Without names to look for: one field only, or a first row with fewer fields than those below it."""
    if len(header) > 1:
        return
    titled: str | None = None
    for other in dict.fromkeys((delimiter, *DELIMITERS[:-2])):
        rows = [(before, row) for before, row in records(text, other) if before >= skipped]
        widest = max((len(row) for _, row in rows), default=1)
        full = [before for before, row in rows if len(row) == widest]
        if widest > 1 and 2 * len(full) > len(rows):
            said = _say(other, full[0], delimiter, skipped)
            # Fields in the first row as well weigh more than a title above them: "1,5;2,5" has commas in each row too.
            if full[0] == rows[0][0]:
                raise DataError(said)
            titled = titled or said
    if titled is not None:
        raise DataError(titled)


def unclosed_quote(path: Path, encoding: str, delimiter: str) -> int | None:
    """Row in which a quote opens that is never closed, which makes all rows below one value; None if none is."""
    if codec(encoding).name.startswith(("utf-16", "utf-32")):
        return None
    with open_bytes(path) as file:
        quotes = sum(block.count(b'"') for block in iter(lambda: file.read(1 << 20), b""))
    if quotes % 2 == 0:
        return None
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding, errors="replace", newline="") as text:
        reader, row = csv.reader(text, delimiter=delimiter, strict=True), 0
        while True:
            row = reader.line_num + 1
            try:
                next(reader)
            except StopIteration:
                return None
            except csv.Error as error:
                ends = ("unexpected end", "field larger")
                if str(error).startswith(ends):
                    return row
                # A quote in the middle of a field, which readers take as it is.


def bad_bytes(path: Path, encoding: str) -> str | None:
    """What is said of the first bytes in the whole file that the encoding does not have; None if all are its."""
    decoder, lines, held = codec(encoding).incrementaldecoder("strict"), 0, b""
    with open_bytes(path) as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                place = max(error.start - len(held), 0)
                row = lines + block[:place].count(b"\n") + 1
                return f"has bytes that are not in encoding {encoding} (the first in row {row}); {_likely(block)}"
            held = decoder.getstate()[0]
            lines += block.count(b"\n")
    return None


def _likely(block: bytes) -> str:
    if _mostly_utf8(block):
        return "check the file, its encoding, or correct these rows"
    return _looks_like(_guess(block))


def _looks_like(encoding: str) -> str:
    return (
        f'check the file, its encoding: it looks like {encoding}, so write encoding = "{encoding}" in [table]'
    )
