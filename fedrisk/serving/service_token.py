"""The token by which a loan system is known to the bank's node: a file that only the node's owner opens.

256 random bits, made when the service starts for the first time. Write another one into the file, or delete it, to
change it; a running service follows. Compared in constant time.
"""

import hmac
import secrets
import threading
from pathlib import Path

from fedrisk.errors import ConfigError
from fedrisk.files import mark_of, read_kept, tighten, write_atomic

FILE = "service.token"
LEAST = 32
"""Fewest characters of a token."""


class ServiceToken:
    """The token in ``folder/service.token``, made where there is none; StoreError where it cannot be."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.Lock()
        self._mark: tuple[int, ...] | None = None
        self._token = b""
        self._read()

    def fits(self, given: str | bytes | None) -> bool:
        """Whether a token that was given is this one."""
        self._read()
        if given is None:
            return False
        raw = given.encode("utf-8", "replace") if isinstance(given, str) else given
        return hmac.compare_digest(raw, self._token)

    def _read(self) -> None:
        with self._lock:
            if not self.path.exists():
                write_atomic(self.path, secrets.token_urlsafe(32).encode() + b"\n", replace=False)
            mark = mark_of(self.path)
            if mark == self._mark:
                return
            tighten(self.path)
            token = read_kept(self.path, "delete it, and a new one is made").strip()
            if len(token) < LEAST:
                raise ConfigError(
                    f"{self.path} holds a token of under {LEAST} characters; delete it, and a new one is made"
                )
            self._token, self._mark = token, mark
