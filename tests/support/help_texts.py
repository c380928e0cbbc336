"""Every text of the commands' help, as a catalogue has it: {("help", text): the command that has it}."""

from functools import cache

import typer

from fedrisk.cli import app
from fedrisk.cli.help import KIND, texts_of
from fedrisk.cli.root import walk


@cache
def of_help():
    found = {}
    for command in walk(typer.main.get_command(app)):
        for text in texts_of(command):
            found.setdefault((KIND, text), command.name)
    return found
