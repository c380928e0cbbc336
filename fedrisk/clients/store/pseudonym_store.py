"""What a node keeps about its enterprises, by id: pseudonyms, sides of the split, and which were scored for whom.

Lists of ids live in Arrow, not in Python objects or pandas: a million ids are looked up in a few tenths of a second.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fedrisk.errors import ProtocolError, StoreError
from fedrisk.files import PUT_BACK, damaged, make_folders, read_kept, write_atomic

Ids = Sequence[str] | NDArray[np.object_]

_LOST = {
    "pseudonyms": f"{PUT_BACK}, or delete it: all ids are then evaluated again, which the authority's quota must allow",
    "sides": f"{PUT_BACK}; without it nobody knows who was held out",
    "scored": f"{PUT_BACK}; without it nobody knows how often an enterprise was scored",
}


class PseudonymStore:
    """The folders ``pseudonyms``, ``evaluation_keys``, ``pending``, ``sides`` and ``scored`` of a node's store."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check_readable(self) -> None:
        """StoreError where a kept file is damaged: better before a study is charged than in its midst.

        Only the end of each file is looked at, where Parquet says what it holds.
        """
        for folder, pattern in (
            ("pseudonyms", "*.parquet"),
            ("sides", "*.parquet"),
            ("scored", "*/*.parquet"),
        ):
            for file in (self.path / folder).glob(pattern):
                try:
                    with file.open("rb") as handle:
                        pq.ParquetFile(handle)
                except (OSError, ValueError, pa.ArrowException):
                    raise damaged(file, _LOST[folder]) from None

    def of(self, tag: str, ids: Ids) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Kept pseudonyms for ids: ((n, 32), known (n,)); rows of unknown ids are zero."""
        found = np.zeros((len(ids), 32), np.uint8)
        kept = _read_columns(self._file(tag), "id", "pseudonym")
        if kept is None:
            return found, np.zeros(len(ids), bool)
        place = _places(_texts(ids), kept["id"])
        known = place >= 0
        found[known] = _fixed_rows(kept["pseudonym"])[place[known]]
        return found, known

    def known(self, tag: str, ids: Ids) -> NDArray[np.bool_]:
        """Which ids have a kept pseudonym, (n,), without reading the pseudonyms."""
        kept = _read_columns(self._file(tag), "id")
        return np.zeros(len(ids), bool) if kept is None else _places(_texts(ids), kept["id"]) >= 0

    def keep(self, tag: str, ids: Ids, values: NDArray[np.uint8]) -> None:
        """Add to the kept pseudonyms of an epoch; those of enterprises that left the table stay, they may return."""
        buffer = pa.py_buffer(np.ascontiguousarray(values).reshape(-1))
        column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(ids), [None, buffer])
        new = {"id": _texts(ids), "pseudonym": column}
        _write_columns(self._file(tag), _added(self._file(tag), new))

    def _file(self, tag: str) -> Path:
        return self.path / "pseudonyms" / f"{tag}.parquet"

    def check_key(self, tag: str, public: bytes) -> None:
        """ProtocolError where the epoch's pseudonyms were made under another key than this public one (32 bytes)."""
        file = self._key_file(tag)
        if not file.exists():
            if self._file(tag).exists():
                raise StoreError(
                    f"{file} is gone, and pseudonyms of the epoch are there; {PUT_BACK}, or {self._anew(tag)}"
                )
            return
        kept = read_kept(file, PUT_BACK)
        if not re.fullmatch(rb"[0-9a-f]{64}", kept):
            raise damaged(file, f"{PUT_BACK}, or {self._anew(tag)}")
        if kept != public.hex().encode():
            raise ProtocolError(
                "the key authority stated another evaluation key than the one under which the pseudonyms of this "
                "epoch were made; all pseudonyms of an epoch must be of one key. Ask the authority whether its key "
                "was lost or renewed, and give the study a new alignment.epoch if so"
            )

    def keep_key(self, tag: str, public: bytes) -> None:
        """Keep the public key of an epoch on first use; ProtocolError where another one is kept."""
        if not self._key_file(tag).exists():
            write_atomic(self._key_file(tag), public.hex().encode(), replace=False)
        self.check_key(tag, public)

    def _anew(self, tag: str) -> str:
        return (
            f"delete {self._file(tag)} and {self._key_file(tag).name}: then all ids are evaluated once more, which the "
            "authority's quota has to allow"
        )

    def _key_file(self, tag: str) -> Path:
        return self.path / "evaluation_keys" / f"{tag}.public"

    def keep_split(self, tag: str, ids: Ids, side: NDArray[np.uint8]) -> None:
        """Remember on which side (0 training, 1 hold-out) enterprises were under an epoch's key."""
        file = self.path / "sides" / f"{tag}.parquet"
        new = {"id": _texts(ids), "side": pa.array(np.asarray(side, np.uint8))}
        _write_columns(file, _added(file, new))

    def earlier_split(self, tag: str, ids: Ids) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which ids were held out, and which were trained on, under any other key: (n,) each."""
        held, trained = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
        others = [f for f in sorted((self.path / "sides").glob("*.parquet")) if f.stem != tag]
        names = _texts(ids) if others else None
        for file in others:
            kept = _read_columns(file, "id", "side")
            if kept is not None:
                place = _places(names, kept["id"])
                side = np.append(kept["side"].to_numpy(zero_copy_only=False), 255)[
                    place
                ]  # 255: unknown, place -1
                held |= side == 1
                trained |= side == 0
        return held, trained

    def scored_versions(self, bank: str, since: date, ids: Ids, version: str) -> NDArray[np.int64]:
        """How many versions of its score a bank has of each enterprise, (n,): those after a day, and ``version``.

        A version that was given on several days counts once.
        """
        files: dict[str, list[Path]] = {}
        for file in sorted((self.path / "scored" / bank).glob("*.parquet")):
            if file.name[:10] > since.isoformat():
                files.setdefault(file.stem[11:], []).append(file)
        count = np.ones(len(ids), np.int64)
        others = [days for name, days in files.items() if name != version]
        names = _texts(ids) if others else None
        for days in others:
            given = np.zeros(len(ids), bool)
            for file in days:
                kept = _read_columns(file, "id")
                if kept is not None:
                    given |= _places(names, kept["id"]) >= 0
            count += given
        return count

    def versions_since(self, bank: str, since: date) -> int:
        """How many versions of scores a bank got after a day, of whichever enterprises."""
        files = (self.path / "scored" / bank).glob("*.parquet")
        return len({file.stem[11:] for file in files if file.name[:10] > since.isoformat()})

    def keep_scored(self, bank: str, today: date, version: str, ids: Ids) -> None:
        """Remember that a bank gets a version of the scores of these enterprises."""
        file = self.path / "scored" / bank / f"{today.isoformat()}-{version}.parquet"
        _write_columns(file, _added(file, {"id": _texts(ids)}))

    def pending(self, tag: str, ids: Sequence[bytes]) -> tuple[bytes, bytes] | None:
        """(blinds, points) of a request for the same ids in the same order that was never answered, or None."""
        file = self.path / "pending" / tag
        if not file.exists():
            return None
        content = read_kept(file, "remove it: the ids are then asked for once more")
        half = (len(content) - 32) // 2
        if content[:32] != _list_digest(ids) or half != 32 * len(ids):
            return None
        return content[32 : 32 + half], content[32 + half :]

    def keep_pending(self, tag: str, ids: Sequence[bytes], blinds: bytes, points: bytes) -> None:
        """Keep a request to the key authority until it is answered, so that asking again costs it nothing."""
        write_atomic(self.path / "pending" / tag, _list_digest(ids) + blinds + points)

    def drop_pending(self, tag: str) -> None:
        """Forget an answered request; its blinds are never used again."""
        try:
            (self.path / "pending" / tag).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{self.path / 'pending' / tag} cannot be removed: {error.strerror}; remove it"
            ) from None


def _texts(ids: Ids) -> Any:
    """Ids as one Arrow array of texts."""
    return pa.array(ids if isinstance(ids, np.ndarray) else list(ids), pa.large_string(), from_pandas=True)


def _places(wanted: Any, kept: Any) -> NDArray[np.int64]:
    """Where each wanted id is among the kept ones, or -1: (n,)."""
    if len(wanted) == len(kept) and wanted.equals(kept):
        return np.arange(len(wanted))
    found = pc.fill_null(pc.index_in(wanted, value_set=kept), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


def _fixed_rows(column: Any) -> NDArray[np.uint8]:
    """A column of 32-byte values as (n, 32)."""
    column = column.cast(pa.binary(32))
    raw = np.frombuffer(column.buffers()[1], np.uint8)
    return raw[32 * column.offset : 32 * (column.offset + len(column))].reshape(-1, 32)


def _read_columns(file: Path, *names: str) -> dict[str, Any] | None:
    """Columns of a Parquet file of the store, each in one piece; None where there is no such file."""
    if not file.exists():
        return None
    try:
        # Opened here: a folder in its place would be read as a data set of several files.
        with file.open("rb") as handle:
            table = pq.read_table(handle, columns=list(names))
        columns = {name: table[name].combine_chunks() for name in names}
        return columns | {"id": columns["id"].cast(pa.large_string())}
    except (OSError, ValueError, KeyError, pa.ArrowException):
        raise damaged(file, _LOST.get(file.parent.name, _LOST["scored"])) from None


def _added(file: Path, new: Mapping[str, Any]) -> Mapping[str, Any]:
    """New rows and those old ones whose ids are not among them."""
    old = _read_columns(file, *new)
    if old is None:
        return new
    stays = pc.invert(pc.is_in(old["id"], value_set=new["id"]))
    if not pc.any(stays).as_py():
        return new
    return {n: pa.concat_arrays([old[n].cast(v.type).filter(stays), v]) for n, v in new.items()}


def _write_columns(file: Path, columns: Mapping[str, Any]) -> None:
    """Write a Parquet file of the store, in the order of its ids, so that it is whole or as it was."""
    draft = file.with_suffix(f".{os.getpid()}")
    table = pa.table(dict(columns))
    # By id: the order of rows of an attempt is a secret, and ids in order compress.
    table = table.take(pc.sort_indices(table["id"]))
    try:
        make_folders(file.parent)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
            pq.write_table(table, handle, use_dictionary=False)
        os.replace(draft, file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StoreError(f"{file} cannot be written: {error.strerror}; check space and permissions") from None


def _list_digest(ids: Sequence[bytes]) -> bytes:
    return hashlib.sha256(b"".join(len(i).to_bytes(4, "big") + i for i in ids)).digest()
