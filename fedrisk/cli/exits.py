"""Exit codes by kind of error, and every error as one line with thing, rule and remedy.

The codes are a promise to scripts (docs/commands.md). What was not foreseen is told in one line as well; the whole text
goes to a log below FEDRISK_HOME, which the line names.
"""

import contextlib
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fedrisk.cli.output import append_log, err, fail, screen
from fedrisk.errors import FedriskError, Stopped
from fedrisk.files import make_folders
from fedrisk.home import home
from fedrisk.language import _
from fedrisk.language_patterns import retold
from fedrisk.tracebacks import place_of, redacted

EXIT_CODES = {
    0: "done",
    1: "looked, and found something wrong: a study that would be refused, trails that do not hold",
    2: "called wrongly: no such command or option, an argument is missing",
    3: "a study, institution or dictionary file breaks a rule (config)",
    4: "a table breaks its dictionary, or has nothing that could be used (data)",
    5: "a policy, or the key authority's quota, does not allow it (refused, quota)",
    6: "the privacy budget does not suffice (budget)",
    7: "a message, signature, certificate or key is not as it must be (protocol, envelope)",
    8: "another institution refused, failed or was lost (peer)",
    9: "a file or disk cannot be read or written (store)",
    10: "something that fedrisk did not foresee (internal); the log has it",
    11: "a training diverged and left no model (training)",
    12: "hub, institution or study need another version of fedrisk (version); the text says whom to upgrade",
    75: "not now: the hub or a database is away, or a clock is wrong (later); try again once that has passed",
    130: "stopped by hand (Ctrl-C, a closed terminal, SIGTERM); the last line says what was charged",
}
"""What each exit code says."""

_BY_CODE = {
    "config": 3,
    "data": 4,
    "refused": 5,
    "quota": 5,
    "budget": 6,
    "protocol": 7,
    "envelope": 7,
    "peer": 8,
    "store": 9,
    "training": 11,
    "version": 12,
    "later": 75,
}
_LOG_BYTES, _LOG_FILES = 1 << 21, 20


def exit_code(error: BaseException) -> int:
    """The code of an error's kind, as in `EXIT_CODES`.

    >>> from fedrisk.errors import BudgetError
    >>> exit_code(BudgetError("used up")), exit_code(KeyboardInterrupt()), exit_code(KeyError("x"))
    (6, 130, 10)
    """
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, FedriskError):
        return _BY_CODE.get(error.code, 10)
    return 9 if isinstance(error, OSError | sqlite3.Error) else 10


def report(error: BaseException) -> int:
    """Say on standard error what went wrong, in one line; the exit code."""
    if isinstance(error, KeyboardInterrupt):
        err.print()
        fail(retold(str(error)) if isinstance(error, Stopped) else _("stopped by hand"), "stopped")
    elif isinstance(error, FedriskError):
        fail(retold(str(error)), error.code)
    else:
        fail(*_unforeseen(error))
    if screen.verbose:
        err.print(redacted(error), markup=False, highlight=False, soft_wrap=True)
    return exit_code(error)


def _unforeseen(error: BaseException) -> tuple[str, str]:
    """Text and kind of what no error class of fedrisk names; the whole goes to the log."""
    log = _keep(redacted(error))
    where = (
        _("the whole text is in {log}", log=log)
        if log
        else _("no log could be written; see it with --verbose")
    )
    if isinstance(error, OSError) and error.strerror:
        names = ", ".join(str(n) for n in (error.filename, error.filename2) if n is not None)
        thing = names or _("a file or connection")
        return _(
            "{thing}: {reason}; check path, space and permissions ({where})",
            thing=thing,
            reason=error.strerror,
            where=where,
        ), "store"
    if isinstance(error, sqlite3.Error):
        return _(
            "a file of the store cannot be used by SQLite; bring it back from its copy ({where})", where=where
        ), "store"
    if isinstance(error, MemoryError):
        return _(
            "the memory does not suffice; end other programs, or take a larger machine ({where})", where=where
        ), "internal"
    place = place_of(error)
    return _(
        "{error}, which fedrisk did not foresee; nothing that was saved is lost. Try again, and report it with the "
        "log: {where}",
        error=f"{type(error).__name__}{f' in {place}' if place else ''}",
        where=where,
    ), "internal"


def _keep(text: str) -> Path | None:
    """Append to today's log, below FEDRISK_HOME or else with temporary files; None where neither works."""
    now = datetime.now(UTC)
    command = " ".join(word for word in sys.argv[1:3] if word.isascii() and word.replace("-", "").isalpha())
    entry = f"{now:%Y-%m-%dT%H:%M:%SZ} fedrisk {command}\n{text}\n"
    for folder in _log_folders():
        file = folder / f"fedrisk-{now:%Y-%m-%d}.log"
        with contextlib.suppress(OSError):
            make_folders(folder)
            _bound(folder, file)
            before = file.stat().st_size if file.exists() else 0
            append_log(file, entry)
            if file.stat().st_size > before:
                return file.resolve()
    return None


def _log_folders() -> Iterator[Path]:
    # Where FEDRISK_HOME itself is wrong, it is the error that is told.
    with contextlib.suppress(FedriskError):
        yield home() / "logs"
    yield Path(tempfile.gettempdir()) / f"fedrisk-{os.geteuid()}-logs"


def _bound(folder: Path, file: Path) -> None:
    """At most `_LOG_FILES` logs of about `_LOG_BYTES` each: a full one is put aside, the oldest go."""
    if file.exists() and file.stat().st_size > _LOG_BYTES:
        os.replace(file, file.with_suffix(f".{datetime.now(UTC):%H%M%S%f}.log"))
    logs = sorted(folder.glob("fedrisk-*.log"), key=lambda path: path.stat().st_mtime)
    for old in logs[: max(0, len(logs) - _LOG_FILES)]:
        old.unlink()
