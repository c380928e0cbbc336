"""The whole text of an error, for a log at home: where it arose, in every file, without what a table holds.

The message of an exception that fedrisk did not foresee may quote a cell: ``could not convert string to float:
'...'``, or a whole row. So of such a message only the plain words before its first colon, bracket or sign of equality
stay, which say what was wrong; what is quoted, holds a digit or is not ASCII is left out of them. Errors of fedrisk
itself, of the system and of the program's own names are told in full.
"""

import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from fedrisk.errors import FedriskError

_TOLD = (FedriskError, OSError, ImportError, AttributeError, NameError, MemoryError, RecursionError)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_ABOUT_VALUES = re.compile(r"[:=(\[{<\"\n].*", re.DOTALL)
_TELLING = re.compile(r"[^\s.,;:()\[\]{}]*[^\x00-\x2f\x3a-\x7f][^\s.,;:()\[\]{}]*")


def redacted(error: BaseException) -> str:
    r"""Every exception of the chain, oldest first, with its frames; messages as the module says.

    >>> redacted(ValueError("invalid literal: 'ENT0001' of 91350100M000100Y43"))
    'ValueError: invalid literal…\n'
    """
    return "\n".join(_one(each) for each in reversed(list(_chain(error))))


def place_of(error: BaseException) -> str:
    """File and line of fedrisk where an error arose, for a line that names it; empty where there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f"{Path(__file__).parent.name}/" in f.filename.replace("\\", "/")]
    if not own:
        return ""
    parts = Path(own[-1].filename).parts
    start = len(parts) - 1 - parts[::-1].index(Path(__file__).parent.name)
    return f"{'/'.join(parts[start:])}, line {own[-1].lineno}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _one(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    text = str(error) if isinstance(error, _TOLD) else plain_words(str(error))
    return f"{frames}{type(error).__name__}: {text}\n"


def plain_words(text: str) -> str:
    """What of a text may be told: its words before the first colon, bracket or sign of equality, none with a digit.

    >>> plain_words("could not convert string to float: '12.5'")
    'could not convert string to float…'
    """
    unquoted = _QUOTED.sub("…", text)
    told = _ABOUT_VALUES.sub("", unquoted)
    return _TELLING.sub("…", told) + "…" * (told != unquoted)
