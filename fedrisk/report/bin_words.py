"""What bins are called, in the language that is spoken; a card has its labels in English (models/binning)."""

import re

from fedrisk.language import of_kind

_BETWEEN = re.compile(r"(\S+) to < (\S+)")


def bin_words(label: str) -> str:
    """A bin's label of a card for people: words and "to" are translated, limits and categories stay.

    >>> from fedrisk.language import speaking
    >>> with speaking("zh"):
    ...     bin_words("30 to < 45"), bin_words("missing"), bin_words("retail")
    ('30至<45', '缺失', 'retail')
    """
    if between := _BETWEEN.fullmatch(label):
        return of_kind("bin", "{low} to < {high}", low=between[1], high=between[2])
    words = {
        "missing": of_kind("bin", "missing"),
        "other": of_kind("bin", "other"),
        "unknown": of_kind("bin", "unknown"),
        "known": of_kind("bin", "known"),
        "any": of_kind("bin", "any"),
        "yes": of_kind("bin", "yes"),
        "no": of_kind("bin", "no"),
    }
    return words.get(label, label)
