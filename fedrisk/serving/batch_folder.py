"""FILE.part: what a batch keeps beside the file that it will write, so that a stopped one goes on where it was.

    order.json          what is scored, by which model and how, as a digest
    asked/000012        a question as the members get it, kept before it goes out
    pages/000012        answers of a page, once they are all there
    result.csv          the finished file, before it gets its name
    summary.json        what came of it, once result.csv is whole
    lock                of the process that works on it

The folder is its owner's alone, since it holds ids and consents; it is removed when the file is there. A page that is
there is never asked about again. One whose question went out and whose answers are not there is asked by the very same
bytes, so that members count and charge it once.
"""

import contextlib
import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import private_folder, read_json, read_kept, write_atomic
from fedrisk.serving.batch_table import write_page

ORDER, SUMMARY = "order.json", "summary.json"
_REMEDY = "remove the folder, and give the command again: everybody is then asked once more"


class BatchFolder:
    """The folder of one batch."""

    def __init__(self, to: Path) -> None:
        self.to = to
        self.path = to.with_name(to.name + ".part")
        self.result = self.path / f"result{to.suffix}"

    @contextlib.contextmanager
    def opened(self, order: Mapping[str, Any]) -> Iterator["BatchFolder"]:
        """The folder, made for this order or found with it, held until the end.

        order: all that the result follows from, as JSON. ConfigError where the file is there already, the folder is of
        another order, or another process works on it; StoreError where the disk fails.
        """
        shutil.rmtree(self._done, ignore_errors=True)
        if self.to.exists() and not self._published():
            raise ConfigError(f"{self.to} exists; name another file with --out, or move this one away")
        try:
            private_folder(self.path)
            lock = os.open(self.path / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written: {error.strerror}; check space and permissions"
            ) from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"another process works on {self.path}; wait for it, or end it") from None
            self._begin(order)
            yield self
        finally:
            os.close(lock)

    @property
    def _done(self) -> Path:
        """The folder's name while it is removed, so that half of one is never taken for a batch to go on with."""
        return self.to.with_name(self.to.name + ".done")

    def _published(self) -> bool:
        """Whether the file is this folder's own result, of a batch that was killed before the folder was removed."""
        with contextlib.suppress(OSError):
            return self.result.samefile(self.to)
        return False

    def summary(self) -> dict[str, Any] | None:
        """What came of the batch, where only its file has to get its name; None before."""
        file = self.path / SUMMARY
        return read_json(file, _REMEDY) if file.is_file() and self.result.is_file() else None

    def _begin(self, order: Mapping[str, Any]) -> None:
        file = self.path / ORDER
        said = json.loads(json.dumps(order))
        if file.exists():
            kept = read_json(file, _REMEDY)
            if kept != said:
                changed = sorted(k for k in {*kept, *said} if kept.get(k) != said.get(k))
                raise ConfigError(
                    f"{self.path} belongs to another batch: {', '.join(changed)} differ. Give the same command to go "
                    "on with it, name another file with --out, or remove the folder"
                )
            return
        for name in ("asked", "pages"):
            private_folder(self.path / name)
        write_atomic(file, json.dumps(said, sort_keys=True).encode())

    def has(self, number: int) -> bool:
        """Whether the answers of a page are there."""
        return self._page(number).is_file()

    def question(self, number: int) -> bytes | None:
        """The question of a page that went out, None where there is none."""
        file = self.path / "asked" / f"{number:06d}"
        return read_kept(file, _REMEDY) if file.is_file() else None

    def keep_question(self, number: int, raw: bytes) -> None:
        """Keep a question; to be called before it goes out."""
        write_atomic(self.path / "asked" / f"{number:06d}", raw)

    def keep_page(self, number: int, table: pa.Table) -> None:
        """Keep the answers of a page; its question is not needed any more."""
        content = io.BytesIO()
        write_page(content, table)
        write_atomic(self._page(number), content.getvalue())
        (self.path / "asked" / f"{number:06d}").unlink(missing_ok=True)

    def pages(self, count: int) -> list[Path]:
        """Files of all pages, in order."""
        return [self._page(k) for k in range(count)]

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The result is whole: nothing of it is written any more."""
        write_atomic(self.path / SUMMARY, json.dumps(summary).encode())

    def publish(self) -> None:
        """Give the result its name, and remove the folder; a file that is there by now stays as it is (ConfigError)."""
        try:
            if not self._published():
                os.link(self.result, self.to)
            self.path.rename(self._done)
        except FileExistsError:
            raise ConfigError(
                f"{self.to} was made meanwhile; move it away, and give the same command again: nobody is asked twice"
            ) from None
        except OSError as error:
            raise StoreError(f"{self.to} cannot be written: {error.strerror}; check the folder") from None
        shutil.rmtree(self._done, ignore_errors=True)

    def _page(self, number: int) -> Path:
        return self.path / "pages" / f"{number:06d}"
