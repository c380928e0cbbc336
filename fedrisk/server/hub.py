"""The hub's own disk: its identity, the keys of its draws, and the pinned keys of the institutions.

The hub holds no key of pseudonyms, none that opens an envelope, and no record. Its draws (who is held out, through
which bank an enterprise contributes) are keyed hashes of pseudonyms, with keys fixed across studies: an enterprise
stays on its side, and repeating a study shows nobody more than running it once.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedrisk.errors import StoreError
from fedrisk.files import private_folder, write_atomic
from fedrisk.home import home
from fedrisk.secure.identity import IdentityKey
from fedrisk.secure.pins import refuse_changed


@dataclass(frozen=True)
class Hub:
    """The hub's folder, by default ``hub`` below FEDRISK_HOME."""

    path: Path

    @classmethod
    def default(cls) -> "Hub":
        """The hub of this machine."""
        return cls(home() / "hub")

    @property
    def identity(self) -> IdentityKey:
        """Ed25519 key that signs release records and the hub's key of each attempt; made on first use."""
        file = self._file("identity.key")
        if not file.exists():
            IdentityKey.generate().save(file)
        return IdentityKey.load(file)

    def draw_key(self, purpose: str) -> bytes:
        """32 secret bytes for one kind of draw ("holdout", "bank"); made on first use."""
        file = self._file(f"{purpose}.key")
        if not file.exists():
            write_atomic(file, secrets.token_bytes(32), replace=False)
        return file.read_bytes()

    @property
    def pins(self) -> dict[str, bytes]:
        """Pinned Ed25519 keys of the institutions by name."""
        file = self._file("pins.json")
        return {n: bytes.fromhex(k) for n, k in json.loads(file.read_text()).items()} if file.exists() else {}

    def pin(self, institutions: Mapping[str, bytes]) -> None:
        """Register institutions; EnvelopeError where a key differs from the one pinned before.

        The static key of an older version is deleted: it would still open recorded pseudonyms of that time.
        """
        self._file("hub.key").unlink(missing_ok=True)
        old = self.pins
        changed = sorted(n for n, k in institutions.items() if old.get(n, k) != k)
        refuse_changed(changed, self.path / "pins.json")
        both = {**old, **institutions}
        content = json.dumps({n: k.hex() for n, k in sorted(both.items())}, indent=1)
        write_atomic(self._file("pins.json"), content.encode())

    def _file(self, name: str) -> Path:
        try:
            private_folder(self.path)
        except OSError as error:
            raise StoreError(f"the hub's store {self.path} cannot be made: {error.strerror}") from None
        return self.path / name
