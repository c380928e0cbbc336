"""The error log of a store: full texts of errors, with tracebacks of unforeseen ones, which never leave the machine."""

import contextlib
import json
import os
import time
from pathlib import Path

from fedrisk.errors import FedriskError, code_of
from fedrisk.files import private_append
from fedrisk.tracebacks import place_of, redacted

LOG_BYTES = 1 << 22
"""Size at which ``errors.log`` is put aside as ``errors.old.log``."""


class ErrorLog:
    """``errors.log`` in a store's folder, a JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, attempt: str, action: str, error: BaseException) -> None:
        """Keep an error's full text at home; an unforeseen one with its traceback, without what a table holds."""
        foreseen = isinstance(error, FedriskError)
        text = str(error) if foreseen else _one_line(error, self.path / "errors.log")
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "attempt": attempt,
            "action": action,
            "code": code_of(error),
            "text": text,
        }
        if not foreseen:
            entry["traceback"] = redacted(error)
        file = self.path / "errors.log"
        if file.exists() and file.stat().st_size > LOG_BYTES:
            os.replace(file, file.with_name("errors.old.log"))
        with private_append(file) as log:
            os.write(log, (json.dumps(entry) + "\n").encode())

    def read(self, begin: str | None = None) -> list[dict[str, str]]:
        """Errors of attempts whose ids begin so, or of all, oldest first; the log that was put aside comes first."""
        found = []
        for name in ("errors.old.log", "errors.log"):
            lines: list[bytes] = []
            with contextlib.suppress(OSError):
                lines = (self.path / name).read_bytes().splitlines()
            for line in lines:
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if isinstance(entry, dict) and "text" in entry:
                        found.append(entry)
        return [e for e in found if begin is None or str(e.get("attempt", "")).startswith(begin)]

    def of(self, attempt: str) -> list[dict[str, str]]:
        """Errors of one attempt, oldest first."""
        return [entry for entry in self.read(attempt) if entry.get("attempt") == attempt]


def _one_line(error: BaseException, log: Path) -> str:
    place = place_of(error)
    what = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    named = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    return (
        f"{what}{named}{f' in {place}' if place else ''}, which was not foreseen; the whole text is in {log}"
    )
