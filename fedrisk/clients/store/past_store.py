"""What an institution itself saw released in studies that it took part in, by attempt.

    past/ATTEMPT.npz    the released sums (models/knowledge_file)
    past/ATTEMPT.json   the study: its purpose, and whom it held out

When a later study remembers an earlier one, the hub tells what was released then; the institution holds that against
its own account. Released numbers alone, public to the study's members; kept for as long as a study may be remembered.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

    def keep(self, past: PastStudy, study: Mapping[str, Any]) -> None:
        """Keep what was released in an attempt at a study."""
        try:
            private_folder(self.path)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be made: {error.strerror}; check path and space") from None
        file = self._file(past.attempt)
        write_atomic(file.with_suffix(".json"), json.dumps(study, sort_keys=True).encode())
        write_atomic(file, to_bytes(Knowledge(memory=(past,))))
        kept = sorted(self.path.glob("*.npz"), key=lambda file: file.stat().st_mtime)
        for old in kept[:-MOST_KEPT]:
            old.unlink(missing_ok=True)
            old.with_suffix(".json").unlink(missing_ok=True)

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

    def study(self, attempt: str) -> dict[str, Any]:
        """The study of an attempt of which something was kept; StoreError where it is gone or damaged."""
        file = self._file(attempt).with_suffix(".json")
        try:
            content: dict[str, Any] = json.loads(read_kept(file, PUT_BACK))
        except ValueError:
            raise damaged(file, PUT_BACK) from None
        return content

    def _file(self, attempt: str) -> Path:
        if not attempt.isalnum():
            raise StoreError("an attempt's id has letters and digits alone")
        return self.path / f"{attempt}.npz"
