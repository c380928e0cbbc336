"""What a key authority keeps in its store: a key for each epoch of pseudonyms, and the quota of evaluations.

A key that is gone is never made anew by itself: all pseudonyms would silently be others. So each has a mark beside it,
and the count of evaluations is there before the first key.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from fedrisk.alignment.oprf import new_key
from fedrisk.alignment.quota import Quota
from fedrisk.errors import StoreError
from fedrisk.files import PUT_BACK, damaged, private_file, read_kept, write_atomic


class AuthorityStore:
    """Keys and quota in a store's folder. refuse_making: raises where the store is for reading alone."""

    def __init__(self, path: Path, refuse_making: Callable[[], None]) -> None:
        self.path = path
        self._refuse_making = refuse_making

    @property
    def quota(self) -> Quota:
        """Evaluations granted."""
        file = self.path / "quota.sqlite"
        if any((self.path / "epochs").glob("*.made")) and not (file.is_file() and file.stat().st_size):
            raise StoreError(
                f"{file} is gone or empty, and evaluations were counted in it; {PUT_BACK}. Without one, delete the "
                "folder epochs and have studies name a new alignment.epoch: all pseudonyms are then made anew"
            )
        if not file.exists():
            self._refuse_making()
        # SQLite makes a file as the umask says, and its journals as the file is.
        private_file(file)
        return Quota(file)

    def evaluations(self, fingerprint: str, tag: str) -> tuple[int | None, int]:
        """The size agreed with an institution under a key's tag, None before, and what is used.

        fingerprint: of the institution's first pinned key (`NodeStore.fingerprint`).
        """
        if not (self.path / "quota.sqlite").exists():
            return None, 0
        return self.quota.size(fingerprint, tag), self.quota.used(fingerprint, tag)

    def key(self, epoch: str) -> bytes:
        """Key of the pseudonyms of an epoch; made on first use.

        A key serves one function alone: EPOCH.key, which an older version used in RFC 9497's mode 0x00, is not used.
        """
        file, made = (self.path / "epochs" / f"{epoch}.{end}" for end in ("voprf", "made"))
        # In this order: another process makes the key first, then the mark.
        if made.exists() and not file.exists():
            raise StoreError(
                f"{file} is gone, and pseudonyms were made with it; {PUT_BACK}. Without one, delete {made.name} beside "
                "it, and have studies name a new alignment.epoch"
            )
        if not file.exists():
            self._refuse_making()
            # The count of evaluations is there before the first key, so that a lost one is noticed.
            _ = self.quota
            write_atomic(file, new_key(), replace=False)
        key = read_kept(file, PUT_BACK)
        mark = hashlib.sha256(b"fedrisk key of an epoch" + key).hexdigest().encode()
        if not made.exists():
            write_atomic(made, mark)
        if len(key) != 32 or read_kept(made, PUT_BACK) != mark:
            raise damaged(file, PUT_BACK)
        return key
