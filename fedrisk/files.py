"""Small private files that are complete or absent, whatever happens while they are written."""

import contextlib
import os
import secrets
from pathlib import Path

from fedrisk.errors import StoreError


def write_atomic(file: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file so that it is complete or absent, on the disk, and readable only by its owner.

    Without ``replace`` a file that another process made first stays as it is.

    Raises:
        StoreError: the file cannot be written.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        if replace:
            os.replace(draft, file)
        else:
            # A link never replaces a key that another process made first.
            try:
                os.link(draft, file)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise StoreError(f"{file} cannot be written: {error.strerror}; check space and permissions") from None
