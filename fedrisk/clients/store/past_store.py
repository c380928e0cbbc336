"""What an institution itself saw released in studies that it took part in, by attempt: ``past/ATTEMPT.npz``.

When a later study remembers an earlier one, the hub tells what was released then; the institution holds that against
its own account. Released numbers alone, public to the study's members; kept for as long as a study may be remembered.
"""

from pathlib import Path

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import PUT_BACK, damaged, private_folder, read_kept, write_atomic
from fedrisk.models.knowledge import Knowledge, PastStudy
from fedrisk.models.knowledge_file import from_bytes, to_bytes

MOST_KEPT = 240
"""Studies kept at most, the oldest are deleted first: ten times as many as one study remembers."""


class PastStore:
    """The folder; errors of the disk are StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, past: PastStudy) -> None:
        """Keep what was released in an attempt."""
        try:
            private_folder(self.path)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be made: {error.strerror}; check path and space") from None
        write_atomic(self._file(past.attempt), to_bytes(Knowledge(memory=(past,))))
        kept = sorted(self.path.glob("*.npz"), key=lambda file: file.stat().st_mtime)
        for old in kept[:-MOST_KEPT]:
            old.unlink(missing_ok=True)

    def find(self, attempt: str) -> PastStudy | None:
        """What was kept of an attempt, None where nothing was; StoreError where it is damaged."""
        file = self._file(attempt)
        if not file.exists():
            return None
        try:
            (past,) = from_bytes(read_kept(file, PUT_BACK)).memory
        except (ConfigError, ValueError):
            raise damaged(file, PUT_BACK) from None
        return past

    def _file(self, attempt: str) -> Path:
        if not attempt.isalnum():
            raise StoreError("an attempt's id has letters and digits alone")
        return self.path / f"{attempt}.npz"
