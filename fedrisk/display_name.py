"""Names of institutions for people, in any script, beside the names that files and messages use.

Such a name is read on reports and screens of all members, so it may not pretend to be another: it is one printable
line without control characters, marks that turn the direction of the text or cannot be seen, and without letters of
scripts that look alike mixed in one word (after Unicode Technical Standard 39, Davis & Suignard 2023).
"""

import unicodedata
from collections.abc import Mapping

LONGEST = 40
"""Most characters of a name: it has to fit into tables."""

_ALIKE = ("LATIN", "CYRILLIC", "GREEK", "CHEROKEE", "ARMENIAN", "COPTIC")


def checked_display_name(name: str) -> str:
    r"""The name in Unicode normal form C; ValueError with rule and remedy where it breaks one.

    >>> checked_display_name("江西省税务局")
    '江西省税务局'
    >>> checked_display_name("b\u202eank")
    Traceback (most recent call last):
    ...
    ValueError: display_name holds a character that cannot be printed or turns the text around; write it without
    """
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= LONGEST or name != name.strip():
        raise ValueError(f"display_name has 1 to {LONGEST} characters and no space around them; shorten it")
    if not name.isprintable():
        raise ValueError(
            "display_name holds a character that cannot be printed or turns the text around; write it without"
        )
    if unicodedata.combining(name[0]) or _most_marks(name) > 2:
        raise ValueError("display_name has accents without a letter, or too many on one; write it without")
    for word in name.split():
        scripts = {s for c in word if c.isalpha() for s in _ALIKE if unicodedata.name(c, "").startswith(s)}
        if len(scripts) > 1:
            raise ValueError(
                f"display_name mixes {' and '.join(s.capitalize() for s in sorted(scripts))} letters in one word, "
                "which look alike; write it in one script"
            )
    return name


def same_to_the_eye(names: Mapping[str, str | None]) -> tuple[str, str] | None:
    """Two members of which one's display name reads like the other's or like its name; None if there are none.

    names: display name, if any, by name.

    >>> same_to_the_eye({"bank_a": "First Bank", "bank_b": "FIRST  bank"})
    ('bank_b', 'bank_a')
    """
    owners = {_plain(name): name for name in names}
    for name, display in names.items():
        if display is not None:
            other = owners.setdefault(_plain(display), name)
            if other != name:
                return name, other
    return None


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _most_marks(name: str) -> int:
    most = run = 0
    for c in name:
        run = run + 1 if unicodedata.category(c) in ("Mn", "Me") else 0
        most = max(most, run)
    return most
