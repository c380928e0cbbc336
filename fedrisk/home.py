"""Where stores lie: one institution has one store, from whatever folder and by whatever spelling it is reached.

A store holds the privacy ledger. Two stores of one institution are two ledgers, and each would spend the whole cap. So
every path here is made absolute in one way, which does not depend on the folder in which a command runs, and links are
followed.
"""

import os
import re
import warnings
from pathlib import Path

from fedrisk.errors import ConfigError

VARIABLE = "FEDRISK_HOME"


class RelativeHome(UserWarning):
    """FEDRISK_HOME is a relative path; the commands print it as a note."""


_NAMED = re.compile(r"\$\{[^}]*\}")


def home() -> Path:
    """Folder for stores that no file places elsewhere: FEDRISK_HOME, by default ``~/.fedrisk``; absolute.

    ``~`` and ``${NAME}`` are replaced. A relative path is taken from the user's home, with a note.

    Raises:
        ConfigError: a variable in it is not set, the user has no home, or it is relative and the folder in which the
            command runs has stores under that name: an earlier version took the path from there, and a second ledger
            would forget what those have spent.
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        return resolved("~/.fedrisk", what=VARIABLE)
    found = resolved(text, what=VARIABLE)
    if not Path(_filled(text, VARIABLE)).is_absolute():
        _refuse_earlier(Path.cwd() / text, found, text)
        warnings.warn(
            f"{VARIABLE}={text} is a relative path; it is taken from the user's home, whatever the present folder is, "
            f"and stores lie in {found}. Write the whole path, so that nobody is in doubt",
            RelativeHome,
            stacklevel=2,
        )
    return found


def resolved(text: str, *, what: str, base: Path | None = None) -> Path:
    """A path with ``~`` and ``${NAME}`` replaced, links followed, and absolute: from ``base``, else the user's home.

    ``what`` names the setting for errors. ConfigError where a variable is not set or the user has no home.

    >>> str(resolved("a/../b//c/", what="store", base=Path("/x")))
    '/x/b/c'
    """
    path = Path(_filled(text, what))
    if not path.is_absolute():
        path = (base or _user_home(what)) / path
    return Path(os.path.realpath(path))


def _filled(text: str, what: str) -> str:
    filled = os.path.expandvars(text)
    if lacking := _NAMED.search(filled):
        raise ConfigError(
            f"{what} = {text}: environment variable {lacking[0][2:-1]} is not set; set it, or write the path itself"
        )
    if not filled.startswith("~"):
        return filled
    found = os.path.expanduser(filled)
    if found.startswith("~"):
        raise ConfigError(f"{what} = {text}: there is no such user's home; write the whole path")
    return found


def _user_home(what: str) -> Path:
    try:
        found = Path.home()
    except RuntimeError:
        found = Path("~")
    if not found.is_absolute():
        raise ConfigError(
            f"{what}: this user has no home folder; set FEDRISK_HOME to the whole path of a folder for stores"
        )
    return found


def _refuse_earlier(earlier: Path, found: Path, text: str) -> None:
    if Path(os.path.realpath(earlier)) == found:
        return
    if any((earlier / name).is_dir() for name in ("institutions", "hub")):
        raise ConfigError(
            f"{VARIABLE}={text} is a relative path, and there are stores in {earlier}, which an earlier version used "
            f"when it ran in this folder. It would now mean {found}, with another ledger that knows nothing of what "
            f"was spent. Write the whole path of the stores that count, for example export {VARIABLE}={earlier}"
        )
