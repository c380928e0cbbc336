"""Help of the commands in the language of its reader: translated when it is shown, the texts themselves stay English.

docs/commands.md is made from the English texts (`fedrisk.cli.reference`).
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click

from fedrisk.language import catalogue, language

KIND = "help"
"""The kind (gettext's context) of these texts in a catalogue."""

HELP = "Show this message and exit."
"""What click says of ``--help``."""

SCREENS = (
    *("ARGUMENTS_PANEL_TITLE", "OPTIONS_PANEL_TITLE", "COMMANDS_PANEL_TITLE", "ERRORS_PANEL_TITLE"),
    *("DEFAULT_STRING", "ENVVAR_STRING", "REQUIRED_LONG_STRING"),
)
"""Names of the texts that Typer has for every help screen."""


def texts_of(command: click.Command) -> Iterator[str]:
    """The texts of a command's help: what it does, its arguments and options, and what stands below them."""
    for holder, name in _places(command):
        if text := getattr(holder, name):
            yield text
    yield from (getattr(_screens(), name) for name in SCREENS)
    yield HELP


def _screens() -> Any:
    # Typer's help screens take a fifth of a second, which no command but help needs.
    from typer import rich_utils

    return rich_utils


def _places(command: click.Command) -> Iterator[tuple[Any, str]]:
    """Where the texts stand: an object and its attribute."""
    yield from ((command, name) for name in ("help", "short_help", "epilog"))
    for parameter in command.params:
        yield from (
            (parameter, name)
            for name in ("help", "rich_help_panel")
            if isinstance(getattr(parameter, name, None), str)
        )
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from ((below, name) for name in ("help", "short_help"))


def translating(command: click.Command) -> Callable[[click.Context, click.HelpFormatter], None]:
    """The command's ``format_help``, with all texts in the language that is spoken."""
    shown = command.format_help

    def format_help(ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with _translated(command, ctx):
            shown(ctx, formatter)

    return format_help


@contextlib.contextmanager
def _translated(command: click.Command, ctx: click.Context) -> Iterator[None]:
    """All texts of a command's help translated for a while; one without translation stays English."""
    code = language()
    if code == "en":
        yield
        return
    there = catalogue(code)
    places = [*_places(command), *((_screens(), name) for name in SCREENS)]
    if (option := command.get_help_option(ctx)) is not None:
        places.append((option, "help"))
    before = [(holder, name, getattr(holder, name)) for holder, name in places]
    before.append((_screens(), "Columns", _screens().Columns))
    try:
        for holder, name, text in before[:-1]:
            if text and (KIND, text) in there:
                setattr(holder, name, there[(KIND, text)])
        _screens().Columns = _folding()
        yield
    finally:
        for holder, name, text in before:
            setattr(holder, name, text)


def _folding() -> type:
    """Rows of texts that go on in the next line wherever one ends: Chinese has no spaces to break at."""
    from rich.columns import Columns
    from rich.text import Text

    class Folding(Columns):
        def __init__(self, renderables: Any = None, *rest: Any, **how: Any) -> None:
            super().__init__(renderables, *rest, **how)
            for cell in self.renderables:
                if isinstance(cell, Text):
                    cell.overflow = "fold"

    return Folding
