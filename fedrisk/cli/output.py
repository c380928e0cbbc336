"""Where the commands print, and tables as they print them.

What was asked for goes to standard output (`tell`, `out`, `tell_json`); everything else, notes, progress and errors,
to standard error (`note`, `alert`, `err`). Neither stops a command: a closed pipe, a full disk or a terminal that lacks
a letter must never lose what was paid for. What could not be written is told when the command ends (`finish`).
"""

import codecs
import contextlib
import json
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fedrisk.files import private_append
from fedrisk.language import _, of_kind

PLAIN = "fedrisk_plain"
"""Name of the error handler of `codecs` by which a stream prints what its encoding lacks."""

_PLAIN_WORDS = {
    "–": "-",
    "—": "-",
    "−": "-",
    "±": "+/-",
    "…": "...",
    "≥": ">=",
    "≤": "<=",
    "×": "x",
    "²": "2",
    "·": ".",
}


@dataclass
class Screen:
    """How much is shown. quiet: results and errors alone. verbose: also what libraries say, and where errors arose.

    log_file: gets everything that goes to standard error. failed: why standard output took no more.
    """

    quiet: bool = False
    verbose: bool = False
    log_file: Path | None = None
    failed: OSError | None = None


screen = Screen()


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_PLAIN_WORDS.get(c) or ascii(c)[1:-1] for c in letters), error.end


codecs.register_error(PLAIN, _plain)


class _Stream:
    """Standard output or error as it is at the moment; what it does not take is dropped, and the reason is kept."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(getattr(sys, self._name), attribute)

    def write(self, text: str) -> int:
        if self._name == "stderr" and screen.log_file is not None:
            append_log(screen.log_file, text)
        self._try("write", text)
        return len(text)

    def flush(self) -> None:
        self._try("flush")

    def isatty(self) -> bool:
        stream = getattr(sys, self._name)
        return stream is not None and not stream.closed and bool(stream.isatty())

    def _try(self, what: str, *arguments: str) -> None:
        stream = getattr(sys, self._name)
        if stream is None or (self._name == "stdout" and screen.failed is not None):
            return
        try:
            getattr(stream, what)(*arguments)
        except UnicodeEncodeError:
            stream.write(
                arguments[0].encode(stream.encoding or "ascii", PLAIN).decode(stream.encoding or "ascii")
            )
        except OSError as error:
            if self._name == "stdout":
                screen.failed = error
        except ValueError:
            # The stream was closed by somebody else.
            return


out = Console(file=_Stream("stdout"))  # type: ignore[arg-type]
err = Console(file=_Stream("stderr"), stderr=True)  # type: ignore[arg-type]


def prepare() -> None:
    """Streams print what their encoding lacks in plain words, not with an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors=PLAIN)


def finish() -> OSError | None:
    """Empty the buffers; why standard output did not take everything, or None. A reader that went away is no reason."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError as error:
            screen.failed = screen.failed or (error if name == "stdout" else None)
            # The interpreter flushes again when it ends, and would complain.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return None if isinstance(screen.failed, BrokenPipeError) else screen.failed


def append_log(file: Path, text: str) -> None:
    """Append to a log that is private to its owner; a log that cannot be written stops nothing."""
    with contextlib.suppress(OSError), private_append(file) as handle:
        os.write(handle, text.encode("utf-8", "backslashreplace"))


def tell(text: str, style: str | None = None) -> None:
    """A line that was asked for, as it is, on standard output; never cut or broken."""
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def tell_json(content: Any) -> None:
    """What was asked for, for machines: JSON on standard output, as ASCII and without what JSON lacks (nan, inf)."""
    tell(json.dumps(_finite(content), indent=1, default=str))


def note(text: str, style: str | None = "dim") -> None:
    """A line beside what was asked for, on standard error; not shown with --quiet."""
    if not screen.quiet:
        err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def alert(text: str, style: str | None = None) -> None:
    """A line that a person has to see beside what was asked for, on standard error; whatever the options say."""
    err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


WIDE = 160
"""Letters of a table's line in a file or a pipe, which have no width."""


def tell_table(table: Table) -> None:
    """A table that was asked for. Its whole columns are never cut: a figure that is cut is another figure."""
    wide = max(out.width if out.is_terminal else max(out.width, WIDE), _least_width(table))
    # A console prints nothing wider than itself, whatever width it is asked for.
    to = out if wide == out.width else Console(file=out.file, width=wide)
    to.print(table, crop=False, soft_wrap=False)


def _least_width(table: Table) -> int:
    """Letters of a line on which no whole column is cut and no word of the others is broken."""
    width = 0
    for column in table.columns:
        texts = [str(column.header), *map(str, column.cells)]
        parts = texts if column.no_wrap else [word for text in texts for word in text.split()]
        width += max((cell_len(part) for part in parts), default=0) + 2
    return width


def heading(text: str) -> str:
    """A heading of a table in the language that is spoken; names and sentences stay as they are."""
    return of_kind("heading", text)


def plain_table(
    title: str,
    *columns: str,
    right: Collection[str] = (),
    whole: Collection[str] = (),
    least: Mapping[str, int] | None = None,
) -> Table:
    """A table without lines; cells of the columns in ``right`` stand to the right, those in ``whole`` on one line.

    least: letters that a line of a column holds at least, on a narrow screen.
    """
    table = Table(title=escape(heading(title)), title_justify="left", box=None, pad_edge=False)
    for column in columns:
        side: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(
            heading(column),
            justify=side,
            no_wrap=column in whole,
            min_width=(least or {}).get(column),
            overflow="fold",
        )
    return table


def about_use(study: str, purpose: str, consent: str | None) -> str:
    """What an entry or an attempt belongs to, in words; a dash where it belongs to none.

    >>> about_use("s", "credit_scoring", None)
    'study s, purpose credit_scoring, consent –'
    """
    return _(
        "study {study}, purpose {purpose}, consent {consent}",
        study=study or "–",
        purpose=purpose or "–",
        consent=consent or "–",
    )


def _between(kind: str) -> str:
    """What stands between "error" and its text."""
    return of_kind("error", " ({kind}): ", kind=kind) if kind else of_kind("error", ": ")


def fail(text: str, kind: str = "") -> None:
    """Say on standard error what went wrong: "error (kind): text". Shown whatever the options say."""
    err.print(f"[bold red]{_('error')}[/]{_between(kind)}", end="", highlight=False)
    err.print(text, markup=False, highlight=False, soft_wrap=True)


def _finite(content: Any) -> Any:
    if isinstance(content, float) and not abs(content) < float("inf"):
        return None if content != content else ("inf" if content > 0 else "-inf")
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content
