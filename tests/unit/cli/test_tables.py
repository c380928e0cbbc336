"""Tables on the screen: figures are never cut; help texts say everything that stands in them."""

import io
import re
from collections.abc import Iterator

import click
import typer.main
from rich.console import Console

from fedrisk.cli import app, output


def test_whole_columns_are_never_cut(monkeypatch):
    for terminal in (False, True):
        file = io.StringIO()
        monkeypatch.setattr(output, "out", Console(file=file, width=40, force_terminal=terminal))
        table = output.plain_table("", "party", "yuan", "to come", whole=("yuan", "to come"))
        table.add_row("a guarantee company", "1,580,554,271.52", "7.30 to 150.34 million yuan")
        output.tell_table(table)
        assert "1,580,554,271.52" in file.getvalue()
        assert "7.30 to 150.34 million yuan" in file.getvalue()


def commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from commands(one)


def test_help_has_no_brackets_that_are_taken_for_markup():
    for command in commands(typer.main.get_command(app)):
        texts = [command.help or "", *(getattr(p, "help", None) or "" for p in command.params)]
        assert not [t for t in texts if re.search(r"(?<!\\)\[[a-z]", t)], command.name
