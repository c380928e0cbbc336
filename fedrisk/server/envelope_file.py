"""Envelopes on their way through the hub: kept in a file, not in memory.

The hub relays sealed matrices that it cannot open and has no use for; at a million enterprises those of one
exchange are gigabytes. They wait in an unnamed file of the system's folder for temporary files (TMPDIR), which
vanishes with the process, and are read one message at a time when they go on to their receiver.
"""

import tempfile
import weakref
from collections.abc import Iterator, Mapping
from typing import IO

from fedrisk.errors import StoreError
from fedrisk.protocol.payload import Blob, Payload

LEAST = 1 << 16
"""Raw blobs from this size on, in bytes, go to the file."""


class Spool:
    """One unnamed file, made when it is first needed and written at its end. All errors of the disk are StoreError."""

    def __init__(self) -> None:
        self._opened: IO[bytes] | None = None
        self._end = 0

    @property
    def _file(self) -> IO[bytes]:
        if self._opened is None:
            self._opened = tempfile.TemporaryFile(prefix="fedrisk-")  # noqa: SIM115 (closed when nobody refers to it)
            weakref.finalize(self, self._opened.close)
        return self._opened

    def put(self, blob: bytes) -> tuple[int, int]:
        """Write a blob; its place, for :meth:`get`."""
        try:
            self._file.seek(self._end)
            self._file.write(blob)
            self._file.flush()
        except OSError as error:
            raise _unusable(error) from None
        place = (self._end, len(blob))
        self._end += len(blob)
        return place

    def get(self, place: tuple[int, int]) -> bytes:
        """The blob at a place."""
        start, size = place
        try:
            self._file.seek(start)
            return self._file.read(size)
        except OSError as error:
            raise _unusable(error) from None

    def keep(self, payload: Payload) -> Payload:
        """The same payload with its large raw blobs in the file; they are read again at each access."""
        large = {
            name: self.put(blob)
            for name, blob in payload.blobs.items()
            if isinstance(blob, bytes) and len(blob) >= LEAST
        }
        return Payload(payload.body, _Kept(self, large, payload.blobs)) if large else payload


def _unusable(error: OSError) -> StoreError:
    return StoreError(
        f"the hub cannot keep envelopes in {tempfile.gettempdir()}: {error.strerror}; free space there or set "
        "TMPDIR to another disk, and run the study again. What was released before stays charged"
    )


class _Kept(Mapping[str, Blob]):
    """Blobs of a payload, those in the file read when they are asked for."""

    def __init__(
        self, spool: Spool, places: Mapping[str, tuple[int, int]], blobs: Mapping[str, Blob]
    ) -> None:
        self._spool, self._places = spool, places
        self._names = list(blobs)
        self._small = {name: blob for name, blob in blobs.items() if name not in places}

    def __getitem__(self, name: str) -> Blob:
        return self._spool.get(self._places[name]) if name in self._places else self._small[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:  # the mixin's would read the blob
        return name in self._places or name in self._small


class RelayedBlobs(Mapping[str, Blob]):
    """Blobs of a message to come: each named blob is one of another institution's answers, fetched when it is sent."""

    def __init__(self) -> None:
        self._sources: dict[str, tuple[Payload, str]] = {}

    def add(self, name: str, answer: Payload, blob: str) -> None:
        """The blob ``name`` will be ``blob`` of that answer; ProtocolError where the answer lacks it."""
        if blob not in answer.blobs:
            answer.raw(blob)
        self._sources[name] = (answer, blob)

    def __getitem__(self, name: str) -> Blob:
        answer, blob = self._sources[name]
        return answer.raw(blob)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)
