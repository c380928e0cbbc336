"""Private folders and files: for their owner only, and whole or absent, whatever happens while they are written.

Modes are given when a thing is made, so that there is no moment at which others can read it, and whatever the
process's umask is.
"""

import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fedrisk.errors import StoreError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

PUT_BACK = "put it back from its copy"
"""What to do about a file of a store that nothing can make anew."""


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing, for their owner only; OSError where that fails.

    Folders that are there stay as they are.
    """
    if folder.is_dir():
        return
    for missing in reversed([folder, *folder.parents]):
        with contextlib.suppress(FileExistsError):
            if not missing.exists():
                missing.mkdir(mode=0o700)
    # Raises where a file is in the way.
    folder.mkdir(mode=0o700, exist_ok=True)


def private_folder(folder: Path) -> None:
    """Make a folder for its owner only. One that is there and open to others is closed, with all that is in it.

    StoreError where it belongs to another user, or lies on a disk that keeps no permissions; OSError where it cannot be
    made.
    """
    make_folders(folder)
    if not folder.stat().st_mode & _OTHERS:
        return
    # The folder first: from then on nobody reaches what is in it.
    tighten(folder)
    for path in folder.rglob("*"):
        # Drafts of another process may be gone by now.
        with contextlib.suppress(FileNotFoundError):
            if not path.is_symlink():
                tighten(path)


def mark_of(*files: Path) -> tuple[int, ...]:
    """What shows cheaply whether files changed: inode, times and size of each, zeros where one is not there."""
    out: list[int] = []
    for file in files:
        try:
            found = file.stat()
        except OSError:
            out += (0, 0, 0, 0)
        else:
            out += (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
    return tuple(out)


def tighten(path: Path) -> None:
    """Close a folder or file to everybody but its owner; StoreError where that is not possible."""
    found = path.stat()
    if not found.st_mode & _OTHERS:
        return
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"{path} is open to other users and belongs to another one; have its owner run chmod -R go= on it, "
            "or choose another folder"
        )
    try:
        path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except OSError as error:
        raise StoreError(f"{path} is open to other users and cannot be closed: {error.strerror}") from None
    if path.stat().st_mode & _OTHERS:
        raise StoreError(
            f"{path} is open to other users, and its disk keeps no permissions; choose a folder on another disk"
        )


def private_file(file: Path) -> None:
    """Make an empty file for its owner only, or close one that is there; StoreError where that is not possible.

    One that is there is not opened: closing it again would drop this process's locks on it.
    """
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        tighten(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}; check space and permissions") from None


@contextlib.contextmanager
def private_append(file: Path) -> Iterator[int]:
    """A file open for appending, made for its owner only where it is not there."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock, waiting for it, so that processes come one after the other; OSError where it cannot be made."""
    with private_append(file) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_kept(file: Path, remedy: str) -> bytes:
    """Content of a file of a store; StoreError with its name and the remedy where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}; {remedy}") from None


def damaged(file: Path, remedy: str) -> StoreError:
    """The error for a file of a store that does not hold what it should."""
    state = "is empty" if file.is_file() and file.stat().st_size == 0 else "is damaged"
    return StoreError(f"{file} {state}; {remedy}")


def read_json(file: Path, remedy: str) -> dict[str, Any]:
    """A JSON object of a store; StoreError with its name and the remedy where it cannot be read or is no object."""
    raw = read_kept(file, remedy)
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise damaged(file, remedy)
    return content


def reserve(file: Path, size: int) -> None:
    """Take ``size`` bytes of the disk under a name, to be given back (unlinked) when what must be written needs them.

    A disk that fills up while a study runs then still has room for what was paid for. StoreError where there is no
    room.
    """
    try:
        make_folders(file.parent)
        with contextlib.suppress(FileExistsError):
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                # Random bytes: a file system that compresses would give back no room for zeros.
                os.write(handle, os.urandom(min(size, 65536)))
                os.posix_fallocate(handle, 0, size)
            finally:
                os.close(handle)
    except OSError as error:
        with contextlib.suppress(OSError):
            file.unlink()
        raise StoreError(f"{file} cannot be written: {error.strerror}; free {size >> 10} kB") from None


def write_atomic(
    file: Path, content: bytes | Sequence[bytes | memoryview], *, replace: bool = True, private: bool = True
) -> None:
    """Write a file so that it is complete or absent, on the disk, and readable only by its owner.

    content: the bytes, or parts that are written one after the other. Without ``replace`` a file that another process
    made first stays as it is. Without ``private`` the umask says who may read it.

    Raises:
        StoreError: the file cannot be written.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        make_folders(file.parent)
        mode = 0o600 if private else 0o666
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as handle:
            handle.writelines([content] if isinstance(content, bytes) else content)
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
