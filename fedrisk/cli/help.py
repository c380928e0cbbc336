"""Help of the commands in the language of its reader: translated when it is shown, the texts themselves stay English.

docs/commands.md is made from the English texts (`fedrisk.cli.reference`).
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click
import typer

from fedrisk.language import catalogue, language
from fedrisk.language_patterns import retold

KIND = "help"
"""The kind (gettext's context) of these texts in a catalogue."""

HELP = "Show this message and exit."
"""What click says of ``--help``."""

USAGE = "Usage:"
"""How click begins the line of a command's form."""

MISTAKES = (
    *("No such option {name}.", "No such option {name}", "No such command {name}.", "No such command {name}"),
    *("Did you mean {name}?", "(Possible options: {names})"),
    *(
        "Missing argument {name}.",
        "Missing option {name}.",
        "Missing argument {name}",
        "Missing option {name}",
    ),
    *("Invalid value for {name}: {what}", "Option {name} requires an argument.", "Missing command."),
    *("Got unexpected extra argument ({what})", "Got unexpected extra arguments ({what})"),
    *("Option {name} does not take a value.", "{value} is not one of {choices}."),
    *("{value} is not a valid {kind}.", "{value} is not in the range {span}."),
    *("File {name} does not exist.", "Path {name} does not exist.", "Directory {name} does not exist."),
)
"""What click says of a line that it cannot take, as `retold` finds it."""

SCREENS = (
    *("ARGUMENTS_PANEL_TITLE", "OPTIONS_PANEL_TITLE", "COMMANDS_PANEL_TITLE", "ERRORS_PANEL_TITLE"),
    *("DEFAULT_STRING", "ENVVAR_STRING", "REQUIRED_LONG_STRING", "RICH_HELP"),
)
"""Names of the texts that Typer has for every help screen."""


def texts_of(command: click.Command) -> Iterator[str]:
    """The texts of a command's help: what it does, its arguments and options, and what stands below them."""
    for holder, name in _places(command):
        if text := getattr(holder, name):
            yield text
    yield from (getattr(_screens(), name) for name in SCREENS)
    yield from (HELP, USAGE)


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
    usage = there.get((KIND, USAGE), USAGE)
    form = command.get_usage(ctx).replace(f"{USAGE} ", f"{usage} " if usage == USAGE else usage, 1)
    try:
        for holder, name, text in before[:-1]:
            if text and (KIND, text) in there:
                setattr(holder, name, there[(KIND, text)])
        _screens().Columns = _folding()
        setattr(command, "get_usage", lambda _ctx: form)  # noqa: B010
        yield
    finally:
        delattr(command, "get_usage")
        for holder, name, text in before:
            setattr(holder, name, text)


def show_usage_error(error: click.UsageError) -> None:
    """Show what click says of a line that it cannot take, in another language than English; then the command ends."""
    if language() == "en" or error.ctx is None or type(error).__name__ == "NoArgsIsHelpError":
        return
    text = retold(error.format_message())
    setattr(error, "format_message", lambda: text)  # noqa: B010
    with _translated(error.ctx.command, error.ctx):
        _screens().rich_format_error(error)
    raise typer.Exit(error.exit_code)


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
