"""An index over a table in a file: where each id's row is, and the rows' typed values, as arrays that are mapped.

It is a folder, whole or absent: ``head.json``, and one array a file. Ids stand in it as keyed hashes (BLAKE2b of 128
bits, RFC 7693), sorted; the key lies beside them, so the index is as secret as the table and lies in a folder that is
its owner's alone, but no id can be read off it. It is built block by block: what stays in memory is the column of ids.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.alignment.ids import normalise
from fedrisk.data.as_it_is import NO_DAY, Taken, Taking
from fedrisk.data.checks import Checks
from fedrisk.data.source import where
from fedrisk.data.table import REFUSED_SHARE, id_texts, row_id
from fedrisk.errors import DataError, StoreError
from fedrisk.files import make_folders, read_json, write_atomic

NOWHERE, REPEATED = -1, -2
"""Places of ids that are not in the table, and of those that are there more than once."""

DAMAGED = (OSError, ValueError, KeyError, TypeError, StoreError)
"""What is raised where an index is not there, or not whole."""

_BLOCK = 100_000
_HASHED = np.dtype([("high", "<u8"), ("low", "<u8")])


@dataclass(frozen=True, eq=False)
class Cells:
    """Rows of ids that were looked up, in their order.

    Attributes:
        values: (n,) by column, missing where the row is not known; flaws: what is wrong with them (column_checks).
        known: whether there is one row of the id; repeated: whether there are several, which counts as none.
        day: of each row, NaT where it is not known.
        gone: columns that the table does not have.
    """

    values: dict[str, NDArray[Any]] = field(repr=False)
    flaws: dict[str, NDArray[np.uint8]] = field(repr=False)
    known: NDArray[np.bool_]
    repeated: NDArray[np.bool_]
    day: NDArray[np.datetime64] = field(repr=False)
    gone: tuple[str, ...] = ()


class FileIndex:
    """An index that is there. Maps its arrays; one of `DAMAGED` where it is not whole."""

    def __init__(self, folder: Path) -> None:
        head = read_json(folder / "head.json", "it is built again")
        self.folder, self.rows, self.gone = folder, int(head["rows"]), tuple(map(str, head["gone"]))
        self.repeated = int(head["repeated"])
        self._key = bytes.fromhex(head["key"])
        self._hashes = _mapped(folder / "hashes", _HASHED, int(head["ids"]))
        self._places = _mapped(folder / "places", np.dtype("<i8"), int(head["ids"]))
        self._high = np.ascontiguousarray(self._hashes["high"])
        self._day = _mapped(folder / "day", np.dtype("<i8"), self.rows) if head["day"] else None
        self._columns: dict[str, tuple[NDArray[Any], NDArray[np.object_] | None]] = {}
        self._flaws: dict[str, NDArray[np.uint8]] = {}
        for column in head["columns"]:
            k, listed = int(column["file"]), column["categories"]
            names = None if listed is None else np.array([*listed, None], dtype=object)
            kind = np.dtype("<f8" if listed is None else "i1")
            self._columns[column["name"]] = (_mapped(folder / f"column_{k}", kind, self.rows), names)
            if column["flaws"]:
                self._flaws[column["name"]] = _mapped(folder / f"flaws_{k}", np.dtype("u1"), self.rows)

    def places(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The row of each normalised id in the arrays, NOWHERE or REPEATED."""
        asked = np.frombuffer(b"".join(_hash(i, self._key) for i in ids), dtype=_HASHED)
        at = np.searchsorted(self._high, asked["high"])
        out = np.full(len(asked), NOWHERE, dtype=np.int64)
        left = np.flatnonzero(at < len(self._high))
        # Two ids that share their first 64 bits stand one after the other.
        while len(left):
            left = left[self._high[at[left]] == asked["high"][left]]
            same = self._hashes["low"][at[left]] == asked["low"][left]
            out[left[same]] = self._places[at[left[same]]]
            left = left[~same]
            at[left] += 1
            left = left[at[left] < len(self._high)]
        return out

    def cells(self, ids: Sequence[str], day: np.datetime64) -> Cells:
        """Rows of normalised ids; ``day`` is that of rows in a table that does not state any."""
        at = self.places(ids)
        known = at >= 0
        row = np.where(known, at, 0)
        values: dict[str, NDArray[Any]] = {}
        for name, (column, names) in self._columns.items():
            found = column[row]
            if names is None:
                found[~known] = np.nan
                values[name] = found
            else:
                found[~known] = -1
                values[name] = names[found]
        flaws = {name: np.where(known, found[row], 0).astype(np.uint8) for name, found in self._flaws.items()}
        days = np.full(len(row), day) if self._day is None else self._day[row].view("datetime64[D]")
        return Cells(values, flaws, known, at == REPEATED, np.where(known, days, NO_DAY), self.gone)


def build(taking: Taking, base: Path, folder: Path) -> FileIndex:
    """Read the table and write its index as ``folder``, whole or not at all.

    Raises:
        DataError: the table cannot be read, or most of its rows cannot be used; ConfigError where it is not there.
        OSError: the disk.
    """
    make_folders(folder.parent)
    draft = folder.with_name(f".draft-{os.getpid()}-{secrets.token_hex(4)}")
    draft.mkdir(mode=0o700)
    try:
        head = _Draft(taking, draft).written(base)
        write_atomic(draft / "head.json", json.dumps(head).encode())
        found = _there(folder)
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return found or FileIndex(folder)


def _there(folder: Path) -> FileIndex | None:
    """The index that another process made meanwhile."""
    try:
        return FileIndex(folder)
    except DAMAGED:
        return None


class _Draft:
    """Arrays of an index while they are written."""

    def __init__(self, taking: Taking, folder: Path) -> None:
        self.taking, self.folder, self._key = taking, folder, secrets.token_bytes(16)
        self._files: dict[str, BinaryIO] = {}
        self._rows: list[NDArray[np.int64]] = []
        self._ids: list[Any] = []
        self._gone: tuple[str, ...] = ()
        self._n = 0

    def written(self, base: Path) -> dict[str, Any]:
        """Write all arrays; the content of the head."""
        try:
            for taken in self.taking.blocks(base):
                self._add(taken)
            if not self._n:
                raise DataError(f"{where(self.taking.source)}: has no rows; export it again")
            ids, repeated = self._write_ids()
        finally:
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
                file.close()
        columns = [
            {
                "name": c.name,
                "file": k,
                "categories": list(c.categories or ()) if c.kind == "category" else None,
                "flaws": f"flaws_{k}" in self._files,
            }
            for k, c in enumerate(self.taking.columns)
            if c.name not in self._gone
        ]
        head = {"key": self._key.hex(), "ids": ids, "repeated": repeated, "gone": list(self._gone)}
        return {**head, "rows": self._n, "day": "day" in self._files, "columns": columns}

    def _file(self, name: str) -> BinaryIO:
        if name not in self._files:
            handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._files[name] = os.fdopen(handle, "wb")
        return self._files[name]

    def _add(self, taken: Taken) -> None:
        for k, c in enumerate(self.taking.columns):
            if c.name not in taken.values:
                continue
            values = taken.values[c.name]
            if c.kind == "category":
                codes = pd.Categorical(values, categories=list(c.categories or ())).codes
                self._file(f"column_{k}").write(codes.astype("i1").tobytes())
            else:
                self._file(f"column_{k}").write(np.ascontiguousarray(values, "<f8").data)
            flaws = taken.flaws.get(c.name)
            if flaws is not None and f"flaws_{k}" not in self._files:
                self._file(f"flaws_{k}").write(bytes(self._n))
            if f"flaws_{k}" in self._files:
                zeros = bytes(len(taken.rows))
                self._file(f"flaws_{k}").write(zeros if flaws is None else flaws.tobytes())
        if taken.day is not None:
            self._file("day").write(taken.day.astype("<i8").tobytes())
        if taken.ids is None:
            self._rows.append(taken.rows)
        else:
            self._ids.append(taken.ids)
        self._gone = taken.gone
        self._n += len(taken.rows)

    def _texts(self) -> tuple[Any, NDArray[np.int64]]:
        """Ids of the rows that have one, and their places."""
        if self.taking.key is None:
            rows = np.concatenate(self._rows)
            return np.array([row_id(row) for row in rows.tolist()], dtype=object), np.arange(len(rows))
        series = pd.concat(self._ids, ignore_index=True)
        self._ids = []
        texts, present, lost = id_texts(series, self.taking.key, Checks())
        places = np.flatnonzero(present & ~lost)
        return texts, places

    def _write_ids(self) -> tuple[int, int]:
        """Hashes of all ids in order and their places; how many ids, and how many of them are there repeatedly."""
        texts, places = self._texts()
        part = self.taking.source.part
        if part is not None:
            places = np.intersect1d(places, part.rows(self._n))
        hashes, kept, scheme = [], [], self.taking.dictionary.id_scheme
        for start in range(0, len(places), _BLOCK):
            some = places[start : start + _BLOCK]
            spelt, refused = normalise(np.asarray(texts[some], dtype=object), scheme)
            raw = b"".join(_hash(i, self._key) for i in spelt[~refused])
            hashes.append(np.frombuffer(raw, dtype=_HASHED))
            kept.append(some[~refused])
        found, at = np.concatenate([*hashes, np.zeros(0, _HASHED)]), np.concatenate([*kept, places[:0]])
        wanted = self._n if part is None else len(part.rows(self._n))
        if len(found) < (1 - REFUSED_SHARE) * wanted:
            raise DataError(
                f"{where(self.taking.source)}: {wanted - len(found):,} of {wanted:,} rows have no usable id; "
                "correct the ids, as fedrisk check shows them"
            )
        order = np.lexsort((found["low"], found["high"]))
        found, at = found[order], at[order]
        first = np.r_[True, found[1:] != found[:-1]] if len(found) else np.zeros(0, bool)
        several = np.add.reduceat(np.ones(len(found), np.int64), np.flatnonzero(first)) > 1
        at = np.where(several, REPEATED, at[first])
        self._file("hashes").write(found[first].tobytes())
        self._file("places").write(at.astype("<i8").tobytes())
        return len(at), int(several.sum())


def _hash(id: str, key: bytes) -> bytes:
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=16, key=key).digest()


def _mapped(file: Path, kind: np.dtype[Any], size: int) -> NDArray[Any]:
    """A file's array, read when it is looked at; ValueError where its size is another one."""
    if file.stat().st_size != size * kind.itemsize:
        raise ValueError(f"{file.name} has another size")
    if not size:
        return np.zeros(0, kind)
    return np.asarray(np.memmap(file, dtype=kind, mode="r", shape=(size,)))
