"""Marks of consent tokens whose signature a holder has verified, in its book: the same one is not verified again.

A mark is an HMAC under a secret of the institution, of the key that signed, the bank that showed the token, and the
token's bytes (`consent.Consents`). It stands for a fact that does not change, that this key signed these bytes,
and for nothing else: whether the key counts, and whether the token holds, is decided anew each time. It proves itself:
a row that somebody wrote without the secret, or that a disk spoilt, is found by no token. Rows that are lost cost time
alone.

Rows are written with the question that they come from, in one transaction. They go with the key that signed, with age,
and the oldest where there are too many.
"""

import sqlite3
from collections.abc import Collection, Mapping
from typing import Final

TABLE: Final = """create table if not exists verified (
    mark blob primary key, key blob not null, time integer not null) strict, without rowid"""

MOST: Final = 400_000
"""Most marks that are kept, of some 100 bytes each on the disk."""

FEWER: Final = 8
"""Where there are more, they go down to the most less one part in so many, so that they are seldom counted out."""

_TOGETHER = 500
"""Marks of one query."""


def known(book: sqlite3.Connection, marks: Collection[bytes]) -> set[bytes]:
    """Which of these marks are kept."""
    found: set[bytes] = set()
    different = list(dict.fromkeys(marks))
    for start in range(0, len(different), _TOGETHER):
        some = different[start : start + _TOGETHER]
        rows = book.execute(f"select mark from verified where mark in ({', '.join('?' * len(some))})", some)
        found.update(mark for (mark,) in rows)
    return found


def keep(book: sqlite3.Connection, keys: Mapping[bytes, str], now: int) -> None:
    """Keep marks, each with the key that signed (64 hexadecimal digits), as of a time in seconds since 1970."""
    book.executemany(
        "insert or ignore into verified values (?, ?, ?)",
        [(mark, _short(key), now) for mark, key in sorted(keys.items())],
    )


def sweep(book: sqlite3.Connection, before: int, keys: Collection[str] | None, most: int = MOST) -> None:
    """Delete marks from before a time, those of keys that are none of ``keys``, and the oldest of more than the most.

    keys: that are pinned now; None deletes none for its key.
    """
    book.execute("delete from verified where time < ?", (before,))
    if keys is not None:
        places = ", ".join("?" * len(keys))
        book.execute(f"delete from verified where key not in ({places})", [_short(key) for key in keys])
    (count,) = book.execute("select count(*) from verified").fetchone()
    if count > most:
        gone = count - most + most // FEWER
        book.execute(
            "delete from verified where time <= (select time from verified order by time limit 1 offset ?)",
            (gone - 1,),
        )


def _short(key: str) -> bytes:
    # Enough to tell a few pinned keys from each other; the mark holds the whole key.
    return bytes.fromhex(key)[:8]
