"""The hub's own disk: its identity, the keys of its draws, and the pinned keys of the institutions.

The hub holds no key of pseudonyms, none that opens an envelope, and no record. Its draws (who is held out, through
which bank an enterprise contributes) are keyed hashes of pseudonyms, with keys fixed across studies: an enterprise
stays on its side, and repeating a study shows nobody more than running it once.
"""

import hashlib
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from fedrisk import layout
from fedrisk.elliptic.weak_points import refuse_weak
from fedrisk.errors import StoreError
from fedrisk.files import PUT_BACK, damaged, private_folder, read_json, read_kept, write_atomic
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
        """Ed25519 key that signs release records and the hub's key of each attempt; made on first use.

        StoreError where it was lost: institutions have pinned it.
        """
        file = self._file("identity.key")
        if not file.exists() and (self.path / "pins.json").exists():
            raise StoreError(
                f"{file} is gone, and institutions have pinned it; {PUT_BACK}, or register a new key with them"
            )
        if not file.exists():
            IdentityKey.generate().save(file)
        return IdentityKey.load(file)

    def draw_key(self, purpose: str) -> bytes:
        """32 secret bytes for one kind of draw ("holdout", "bank"); made on first use.

        StoreError where it was lost or changed: with another key enterprises would change sides between studies.
        """
        file, marks = self._file(f"{purpose}.key"), self._file("drawn_with.json")
        known = read_json(marks, PUT_BACK) if marks.exists() else {}
        if not file.exists() and purpose in known:
            raise StoreError(
                f"{file} is gone, and studies were drawn with it; {PUT_BACK}. With another key enterprises would "
                "change sides between studies"
            )
        if not file.exists():
            write_atomic(file, secrets.token_bytes(32), replace=False)
        key = read_kept(file, PUT_BACK)
        mark = hashlib.sha256(f"fedrisk {purpose} ".encode() + key).hexdigest()
        if len(key) != 32 or known.get(purpose, mark) != mark:
            raise damaged(file, PUT_BACK)
        if purpose not in known:
            write_atomic(marks, json.dumps({**known, purpose: mark}).encode())
        return key

    def check_draw_keys(self) -> None:
        """StoreError where a key with which studies were drawn was lost or changed; makes none."""
        marks = self.path / "drawn_with.json"
        for purpose in read_json(marks, PUT_BACK) if marks.exists() else {}:
            self.draw_key(purpose)

    @property
    def pins(self) -> dict[str, bytes]:
        """Pinned Ed25519 keys of the institutions by name."""
        file = self._file("pins.json")
        if not file.exists():
            return {}
        try:
            return {n: bytes.fromhex(k) for n, k in read_json(file, PUT_BACK).items()}
        except (TypeError, ValueError):
            raise damaged(file, PUT_BACK) from None

    def pin(self, institutions: Mapping[str, bytes]) -> None:
        """Register institutions; EnvelopeError where a key differs from the one pinned before, or is weak.

        The static key of an older version is deleted: it would still open recorded pseudonyms of that time.
        """
        refuse_weak(institutions)
        self._file("hub.key").unlink(missing_ok=True)
        # Made before the first pin, so that one that is lost later is not made anew.
        _ = self.identity
        old = self.pins
        changed = sorted(n for n, k in institutions.items() if old.get(n, k) != k)
        refuse_changed(changed, self.path / "pins.json")
        both = {**old, **institutions}
        content = json.dumps({n: k.hex() for n, k in sorted(both.items())}, indent=1)
        write_atomic(self._file("pins.json"), content.encode())

    def repin(self, changed: Mapping[str, bytes], gone: Collection[str] = ()) -> None:
        """Put keys in place of pinned ones, and forget those of institutions that are ``gone``.

        For a change that the old key signed (deploy/rotation), or an expulsion; never for one that a message asks for.
        """
        kept = {name: key for name, key in self.pins.items() if name not in gone}
        content = json.dumps({n: k.hex() for n, k in sorted({**kept, **changed}.items())}, indent=1)
        write_atomic(self._file("pins.json"), content.encode())

    def _file(self, name: str) -> Path:
        try:
            private_folder(self.path)
        except OSError as error:
            raise StoreError(f"the hub's store {self.path} cannot be made: {error.strerror}") from None
        layout.HUB.open(self.path)
        return self.path / name
