"""Every text of the commands' help, as a catalogue has it: {("help", text): the command that has it}."""

from functools import cache

import typer

from fedrisk.cli import app
from fedrisk.cli.help import KIND, MISTAKES, texts_of
from fedrisk.cli.root import walk
from fedrisk.language_patterns import KIND as MESSAGE


@cache
def of_help():
    found = {(MESSAGE, text): "fedrisk" for text in MISTAKES}
    for command in walk(typer.main.get_command(app)):
        for text in texts_of(command):
            found.setdefault((KIND, text), command.name)
    return found
