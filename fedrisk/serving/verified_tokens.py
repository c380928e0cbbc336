"""Marks of consent tokens whose signature a holder has verified, in its book: the same one is not verified again.

A mark is an HMAC under a secret of the institution, of the key that signed, the bank that showed the token, and the
token's bytes (`consent.Consents`). It stands for a fact that does not change, that this key signed these bytes, and for
nothing else: whether the key counts, and whether the token holds, is decided anew each time. It proves itself: a mark
that somebody wrote without the secret, or that a disk spoilt, is found by no token. Lost ones cost time alone.

Marks are written with the question that they come from, in one transaction and one row for each key: rows of their own
would each touch a page of the file. They go with the key that signed, with age, and the oldest where there are too
many.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final

# Ids are never used again, so that what is read up to an id is read.
TABLE: Final = """create table if not exists verified (
    id integer primary key autoincrement, key blob not null, time integer not null, marks blob not null) strict"""

SIZE: Final = 32
"""Bytes of a mark."""

MOST: Final = 400_000
"""Most marks that are kept after a sweep: 13 MB on the disk, 50 MB in memory."""


class VerifiedTokens:
    """The marks of a book in memory, as far as they were read; used by one thread at a time."""

    def __init__(self) -> None:
        self._marks: set[bytes] = set()
        self._read = 0

    def known(self, book: sqlite3.Connection, marks: Collection[bytes]) -> set[bytes]:
        """Which of these marks are kept, also by other processes."""
        rows = book.execute("select id, marks from verified where id > ? order by id", (self._read,))
        for id, there in rows:
            self._marks.update(there[k : k + SIZE] for k in range(0, len(there), SIZE))
            self._read = id
        return {mark for mark in marks if mark in self._marks}

    def sweep(
        self, book: sqlite3.Connection, before: int, keys: Collection[str] | None, most: int = MOST
    ) -> None:
        """Delete marks from before a time, those of keys that are none of ``keys``, and the oldest of too many.

        keys: that are pinned now; None deletes none for its key.
        """
        book.execute("delete from verified where time < ?", (before,))
        if keys is not None:
            places = ", ".join("?" * len(keys))
            book.execute(
                f"delete from verified where key not in ({places})", [bytes.fromhex(key) for key in keys]
            )
        book.execute(
            "delete from verified where id <= (select max(id) from (select id, sum(length(marks)) over "
            "(order by id desc) as newer from verified) where newer > ?)",
            (SIZE * most,),
        )
        # Another process may have deleted some: what is forgotten there is forgotten here.
        self._marks.clear()
        self._read = 0


def keep(book: sqlite3.Connection, keys: Mapping[bytes, str], now: int) -> None:
    """Keep marks, each with the key that signed (64 hexadecimal digits), as of a time in seconds since 1970."""
    by_key = defaultdict[str, list[bytes]](list)
    for mark, key in keys.items():
        by_key[key].append(mark)
    book.executemany(
        "insert into verified (key, time, marks) values (?, ?, ?)",
        [(bytes.fromhex(key), now, b"".join(marks)) for key, marks in by_key.items()],
    )
