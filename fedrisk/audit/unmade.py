"""The trail of an institution that has none yet, for reading: no entries, and no file made."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedrisk.audit.entry import AuditEntry
from fedrisk.audit.log import AuditLog
from fedrisk.errors import NothingYet


class UnmadeLog(AuditLog):
    """A trail without entries. NothingYet from whatever would need a file or a key."""

    def __init__(self, path: Path, institution: str) -> None:
        self.path, self.institution = path, institution

    def entries(self, start: int = 0, **filters: Any) -> Iterator[AuditEntry]:
        """None."""
        return iter(())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        raise NothingYet(f"audit trail {self.path} does not exist yet; the first study begins it")
        yield
