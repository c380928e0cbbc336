r"""The log of a hub or a node: one JSON object a line, in a file that is its owner's alone and of bounded size.

Call :func:`start` once, at the beginning of a process. From then on everybody writes with the standard library:

    log = logging.getLogger("fedrisk")
    log.info("an exchange is complete", extra={"event": "exchange", "action": "release", "seconds": 0.8, "bytes": 1024})

A line holds ``time``, ``level``, ``part`` (the process: hub, work, study, node), ``event``, ``text``, and those of
``study``, ``attempt``, ``exchange``, ``action``, ``peer``, ``seconds``, ``bytes``, ``code``, ``column``, ``rows`` that
were given, and nothing else of ``extra``. ``text`` is the sentence as it stands in the program: what is filled into it
is left out, and so are quoted words, digits and whatever follows a colon. That holds for other libraries' loggers as
well (Flower's, uvicorn's), which get the event ``library`` and are heard from warnings on. Of an exception its kind and
its place in fedrisk are written, never its text: a handler's exception may quote a record.

Several processes may write one file: lines are appended whole, and whoever finds the file full puts it aside under a
lock. A log that cannot be written stops nothing.
"""

import contextlib
import fcntl
import itertools
import json
import logging
import math
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fedrisk.errors import code_of
from fedrisk.files import make_folders
from fedrisk.tracebacks import place_of, plain_words

WORDS: Final = ("study", "attempt", "action", "peer", "code", "column")
"""Fields of a line that are short words."""

FIGURES: Final = ("exchange", "seconds", "bytes", "rows")
"""Fields of a line that are numbers."""

FILE_BYTES: Final = 10 << 20
KEPT_FILES: Final = 5

_WORD = re.compile(r"[\w.,:/@\[\] +-]{1,120}")
_TAG = re.compile(r"\s*\[[A-Za-z.]{1,60}\]\s*")
_FILLED = re.compile(r"%(\([a-z_]+\))?[-#0 +]*[0-9.*]*[a-zA-Z]")
_EVENT = re.compile(r"[a-z0-9_]{1,40}")


class JsonLine(logging.Formatter):
    """Formats a record as the module says; ``part`` is the name of the process."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part

    def format(self, record: logging.LogRecord) -> str:
        """A JSON object, as ASCII, without a line break."""
        own = record.name.partition(".")[0] == "fedrisk"
        event = getattr(record, "event", None)
        line: dict[str, Any] = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            "level": record.levelname.lower(),
            "part": self.part,
            "event": event
            if isinstance(event, str) and _EVENT.fullmatch(event)
            else ("note" if own else "library"),
            "text": sentence(record.msg),
        }
        if not own:
            line["logger"] = record.name[:60]
        if own:
            line |= _fields(record)
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line |= {"error": type(error).__name__, "place": place_of(error)}
            line.setdefault("code", code_of(error))
        return json.dumps(line)


def sentence(message: object) -> str:
    """The words of a message as they stand in the program: nothing filled in, nothing quoted, no digits.

    >>> sentence("%s refused: %s")
    '… refused…'
    >>> sentence("[Fleet.PullMessages] node 4711 asks for 'ENT0001'")
    '[Fleet.PullMessages] node … asks for …'
    """
    if not isinstance(message, str):
        return type(message).__name__
    tag = _TAG.match(message)
    # A template's placeholders are filled with what must not be here.
    rest = _FILLED.sub("…", message[tag.end() :] if tag else message)
    return (tag[0].strip() + " " if tag else "") + plain_words(rest)[:300].strip()


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in WORDS:
        value = getattr(record, name, None)
        if isinstance(value, str) and value:
            found[name] = value if _WORD.fullmatch(value) else "…"
    for name in FIGURES:
        value = getattr(record, name, None)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[name] = round(value, 3)
    return found


class PrivateFile(logging.Handler):
    """Appends lines to a file with mode 0600; a full one becomes FILE.1, and so on up to ``kept``.

    Safe for several threads and processes.
    """

    def __init__(self, file: Path, *, size: int = FILE_BYTES, kept: int = KEPT_FILES) -> None:
        super().__init__()
        self.file, self.size, self.kept = file, size, kept
        make_folders(file.parent)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a disk that takes none loses it, and nothing else."""
        with contextlib.suppress(OSError):
            line = (self.format(record) + "\n").encode()
            handle = self._opened(len(line))
            try:
                os.write(handle, line)
            finally:
                os.close(handle)

    def _opened(self, room: int) -> int:
        handle = self._open()
        if os.fstat(handle).st_size + room <= self.size:
            return handle
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Another process may have put it aside while this one waited, and made no new one yet.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), self.file.stat()):
                    self._put_aside()
        finally:
            os.close(handle)
        return self._open()

    def _open(self) -> int:
        return os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _put_aside(self) -> None:
        names = [self.file, *(self.file.with_name(f"{self.file.name}.{k}") for k in range(1, self.kept + 1))]
        for old, new in reversed(list(itertools.pairwise(names))):
            if old.exists():
                os.replace(old, new)


class _Routed(logging.Filter):
    """Hands a library's records to our handler and to none of its own: Flower adds one when it is imported."""

    def __init__(self, to: logging.Handler, level: int) -> None:
        super().__init__()
        self.to, self.level = to, level

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= self.level:
            self.to.handle(record)
        return False


_LIBRARIES: Final = ("flwr", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_FEDRISK: Final = "fedrisk"


def start(file: Path | None, part: str, *, libraries: int = logging.WARNING) -> logging.Handler:
    """Send all logging of this process to ``file``, or to standard error where it is None; the handler.

    part: "hub", "work", "study" or "node". libraries: the least level at which other libraries are heard. May be called
    again, for instance by a child process: what an earlier call set up is taken off. uvicorn has to be started with
    ``log_config=None``, so that it sets up nothing of its own.
    """
    stop()
    handler = logging.StreamHandler(sys.stderr) if file is None else PrivateFile(file)
    handler.setFormatter(JsonLine(part))
    own = logging.getLogger(_FEDRISK)
    own.setLevel(logging.INFO)
    own.propagate = False
    own.addHandler(handler)
    for name in _LIBRARIES:
        logging.getLogger(name).addFilter(_Routed(handler, libraries))
    root = logging.getLogger()
    others = _Quiet(handler, libraries)
    root.addHandler(others)
    # A logger without a handler of its own would fall back to standard error.
    logging.lastResort = None
    return handler


class _Quiet(logging.Handler):
    """What reaches the root logger, from a level on, by way of the one handler."""

    def __init__(self, to: logging.Handler, level: int) -> None:
        super().__init__(level)
        self.to = to

    def emit(self, record: logging.LogRecord) -> None:
        self.to.handle(record)


def stop() -> None:
    """Take off what :func:`start` set up."""
    own, root = logging.getLogger(_FEDRISK), logging.getLogger()
    for handler in [h for h in own.handlers if isinstance(h.formatter, JsonLine)]:
        own.removeHandler(handler)
        handler.close()
    own.propagate = True
    for quiet in [h for h in root.handlers if isinstance(h, _Quiet)]:
        root.removeHandler(quiet)
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        for routed in [f for f in logger.filters if isinstance(f, _Routed)]:
            logger.removeFilter(routed)
