"""How far a long computation is, for whoever watches: a command, a notebook. Without a listener nothing happens.

Only counts of pieces are told, which follow from public sizes; nothing of the data.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[str, int, int], None]
"""What is computed, pieces done, pieces in all."""

_listener: ContextVar[Listener | None] = ContextVar("fedrisk_progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of all long computations of this context.

    >>> heard = []
    >>> with listening(lambda what, done, of: heard.append((what, done, of))):
    ...     [piece for piece in counted("counting", ["a", "b"])]
    ['a', 'b']
    >>> heard
    [('counting', 0, 2), ('counting', 1, 2), ('counting', 2, 2)]
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def counted(what: str, pieces: Iterable[T], of: int | None = None) -> Iterator[T]:
    """The pieces, one after the other; each is told when it is done. ``of``: how many, where there is no length."""
    listener = _listener.get()
    if listener is None:
        yield from pieces
        return
    total = of if of is not None else len(pieces)  # type: ignore[arg-type]
    listener(what, 0, total)
    for number, piece in enumerate(pieces, start=1):
        yield piece
        listener(what, number, total)
