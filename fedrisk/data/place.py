"""Where a table lies: paths and database URLs with variables replaced, and passwords that stand in no configuration."""

import os
import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from fedrisk.errors import ConfigError, DataError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_OTHERS = 0o077


def expand(text: str) -> str:
    """``text`` with every ${NAME} replaced; ConfigError names a variable that is not set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ConfigError(
                f"[table] source: environment variable {match[1]} is not set; set it (for example "
                f"export {match[1]}=/path/to/data) or write the path itself"
            )
        return found

    return _VARIABLE.sub(value, text)


def database_url(place: str, base: Path, password_file: str | None = None) -> str | URL:
    """A database's URL, with the password of a file where one is named.

    The relative path of an SQLite file starts at the institution file, like every other path.

    Raises:
        ConfigError: there is no such SQLite file (SQLite would make an empty one), or no usable file of the password.
        DataError: the URL is none.
    """
    scheme, _, rest = place.partition(":///")
    name, mark, options = rest.partition("?")
    if scheme.partition("+")[0] == "sqlite" and name not in ("", ":memory:") and not name.startswith("file:"):
        path = base / Path(name).expanduser()
        refuse_no_file(path)
        place = f"{scheme}:///{path.absolute()}{mark}{options}"
    if password_file is None:
        return place
    password = _password(base / Path(expand(password_file)).expanduser())
    try:
        return make_url(place).set(password=password)
    except (ArgumentError, ValueError):
        reason = "cannot be read: its URL is malformed; write special characters of the user as %XX"
    raise DataError(reason)


def _password(file: Path) -> str:
    """The first line of a file that only its owner may read; ConfigError, which never quotes it."""
    what = f"[table] password_file: {file}"
    try:
        mode, text = file.stat().st_mode, file.read_text(encoding="utf-8")
    except UnicodeError:
        raise ConfigError(f"{what} is not UTF-8 text; write the password into it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{what} cannot be read: {error.strerror}; check path and permissions") from None
    # A service manager's own folder is closed, whatever the modes in it are.
    handed_over = os.environ.get("CREDENTIALS_DIRECTORY")
    if mode & _OTHERS and not (handed_over and file.resolve().is_relative_to(Path(handed_over).resolve())):
        raise ConfigError(f"{what} is open to other users; run chmod 600 on it, and change the password")
    lines = text.splitlines()
    if not lines or not lines[0]:
        raise ConfigError(f"{what} is empty; write the password into its first line")
    return lines[0]


def refuse_no_file(path: Path) -> None:
    """ConfigError where there is no file at ``path``, with what is there instead."""
    if path.is_dir():
        raise ConfigError(
            f"[table] source: {path} is a folder, as programs write that divide a table into parts; write the table as "
            'one file (in Spark: coalesce(1), in pandas: read_parquet(FOLDER).to_parquet("FILE.parquet"))'
        )
    if not path.is_file():
        raise ConfigError(
            f"[table] source: no file {path}; correct the path (relative ones start at the folder of the file that "
            "names it)"
        )
