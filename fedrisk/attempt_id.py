"""Ids of attempts as people say them: the first letters, which commands show and take for the whole."""

from collections.abc import Iterable

LEAST_PREFIX = 4
"""Fewest letters of an id that may stand for the whole."""


def short(attempt: str) -> str:
    """The first letters of an attempt's id, as tables and texts show it; every command takes them for the whole.

    >>> short("1f3a9c02d4")
    '1f3a9c02'
    """
    return attempt[:8]


def meant(said: str, ids: Iterable[str], *, least: int = LEAST_PREFIX) -> list[str]:
    """The ids that a person may mean: the one that was said whole, else all that begin so, in order.

    least: fewest letters that may stand for the whole.

    >>> meant("1f3a", ["1f3a9c02", "1f3a77b1", "20aa"]), meant("1f3a9c02", ["1f3a9c02", "1f3a9c02d4"])
    (['1f3a77b1', '1f3a9c02'], ['1f3a9c02'])
    >>> meant("1f", ["1f3a9c02"])
    []
    """
    known = sorted(ids)
    if said in known:
        return [said]
    return [i for i in known if i.startswith(said)] if len(said) >= least else []
