"""Which version of its files a folder is kept in: later ones are refused, earlier ones brought forward, a copy kept.

A folder of hub or node says in ``VERSION``, a JSON object, the number of its layout and the fedrisk that wrote it; an
institution's store says so in ``store.json`` (clients/store/owner). A step from one layout to the next changes files in
place and may be run again where it was interrupted: the number is written when the step is done. Nothing goes back; the
copy, beside the folder, is for whoever has to.
"""

import json
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import fedrisk
from fedrisk.errors import StoreError
from fedrisk.files import PUT_BACK, damaged, locked, read_json, write_atomic

FILE = "VERSION"

Step = Callable[[Path], None]
"""Brings a folder's files from one layout to the next; leads to the same where it was stopped and is run again."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A kind of folder: what it is in words, the number of its layout, and the steps by the number they begin at."""

    what: str
    number: int
    steps: Mapping[int, Step] = field(default_factory=dict)

    def check(self, folder: Path) -> None:
        """Nothing where a folder may be read; StoreError where it is of a later layout, or not brought forward yet."""
        found = self.found(folder)
        if found is not None and found < self.number:
            raise not_yet(self.what, folder, found, self.number)

    def open(self, folder: Path) -> None:
        """Say in a folder which layout it has, and bring an earlier one forward; StoreError for a later one."""
        found = self.found(folder)
        if found is None:
            write_atomic(folder / FILE, self._content(self.number), replace=False)
        elif found < self.number:
            bring_forward(folder, found=found, layout=self, mark=lambda number: self._mark(folder, number))

    def found(self, folder: Path) -> int | None:
        """The number that a folder has, None where it says none; StoreError where it is damaged, or a later one."""
        file = folder / FILE
        if not file.exists() and not file.is_symlink():
            return None
        content = read_json(file, PUT_BACK)
        number, release = content.get("layout"), content.get("fedrisk")
        if type(number) is not int or number < 1 or not isinstance(release, str):
            raise damaged(file, PUT_BACK)
        if number > self.number:
            raise too_new(self.what, folder, release)
        return number

    def _mark(self, folder: Path, number: int) -> None:
        write_atomic(folder / FILE, self._content(number))

    def _content(self, number: int) -> bytes:
        return json.dumps({"layout": number, "fedrisk": fedrisk.__version__}).encode()


def bring_forward(folder: Path, *, found: int, layout: Layout, mark: Callable[[int], None]) -> Path:
    """Copy a folder, then take it from layout ``found`` to the present one, step by step; where the copy is.

    mark: writes the number of a step that is done. Only while no other process uses the folder. StoreError, before
    anything is changed, where there is no way from that layout or no room for the copy.
    """
    missing = [number for number in range(found, layout.number) if number not in layout.steps]
    if missing:
        raise StoreError(
            f"{layout.what} {folder} is of layout {found}, and fedrisk {fedrisk.__version__} cannot bring it forward "
            f"from layout {missing[0]}; use the version before this one first"
        )
    try:
        with locked(folder / ".lock"):
            copy = _copied(folder, found)
            for number in range(found, layout.number):
                layout.steps[number](folder)
                mark(number + 1)
    except OSError as error:
        raise StoreError(
            f"{layout.what} {folder} could not be brought to layout {layout.number}: {error.strerror}; free space, "
            "check permissions, and try again. A copy from before, where there is one, lies beside it"
        ) from None
    return copy


def _copied(folder: Path, found: int) -> Path:
    """A whole copy beside the folder, or none."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    copy = folder.with_name(f"{folder.name}.layout-{found}.{now}")
    draft = folder.with_name(f".{copy.name}")
    try:
        shutil.copytree(folder, draft, symlinks=True, ignore=_sockets)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise StoreError(
            f"{folder} cannot be copied to {copy}, and is left as it is: free space there"
        ) from error
    os.replace(draft, copy)
    return copy


def _sockets(folder: str, names: list[str]) -> list[str]:
    """What is no content of a folder: sockets of processes."""
    return [name for name in names if stat.S_ISSOCK(os.lstat(os.path.join(folder, name)).st_mode)]


def too_new(what: str, folder: Path, release: object) -> StoreError:
    """The error for a folder of a later layout."""
    wrote = release if isinstance(release, str) and len(release) < 40 else "of a later version"
    return StoreError(
        f"{what} {folder} was used by fedrisk {wrote}, and this is {fedrisk.__version__}, which is older and does not "
        "know its files; use the later version"
    )


def not_yet(what: str, folder: Path, found: int, number: int) -> StoreError:
    """The error for a folder of an earlier layout that is only to be read."""
    return StoreError(
        f"{what} {folder} is of layout {found}, and fedrisk {fedrisk.__version__} keeps layout {number}; the next "
        "study, or the start of the hub or node, brings it forward and keeps a copy"
    )


HUB = Layout(what="the hub's folder", number=1)
NODE = Layout(what="the node's folder", number=1)
