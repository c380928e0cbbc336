"""The page of all commands (docs/commands.md), made from the commands themselves.

``python -m fedrisk.cli.reference > docs/commands.md`` writes it again; a test compares the two.
"""

import re
from collections.abc import Iterator

import click
import typer

from fedrisk.cli.exits import EXIT_CODES
from fedrisk.cli.root import EVERYWHERE

_HEAD = """# Commands

Every command with its arguments and options. This page is made from the commands
(`python -m fedrisk.cli.reference > docs/commands.md`); `fedrisk COMMAND --help` shows the same on the screen.

What was asked for goes to standard output; notes, progress and errors go to standard error. An error is one line: what
it is about, the rule, and what to do. Where something was not foreseen, the line names a log below `FEDRISK_HOME/logs`
(private to its owner, at most 20 files of 2 MB) that has the whole text, without what a table holds.
`fedrisk --install-completion` sets up completion for the shell.
"""


def page(root: click.Command) -> str:
    """The whole page as Markdown."""
    shared = [p for p in root.params if getattr(p, "rich_help_panel", None) == EVERYWHERE]
    parts = [_HEAD, "## Options of every command", _table(shared), "## Exit codes"]
    codes = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    parts.append("\n".join(["| code | meaning |", "| --- | --- |", *codes]))
    for words, command in commands(root):
        parts += [f"## fedrisk {' '.join(words)}", _plain(command.help or "")]
        parts.append(f"`fedrisk {' '.join(words)} {' '.join(_usage(command))}`".replace(" `", "`"))
        own = [p for p in command.params if getattr(p, "rich_help_panel", None) != EVERYWHERE]
        if own:
            parts.append(_table(own))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def commands(
    root: click.Command, before: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """(words, command) of every command that can be called, in their order."""
    if not isinstance(root, click.Group):
        yield before, root
        return
    if before and root.invoke_without_command:
        yield before, root
    for name, command in root.commands.items():
        yield from commands(command, (*before, name))


def _usage(command: click.Command) -> list[str]:
    words = [_argument(p) for p in command.params if isinstance(p, click.Argument)]
    needed = [p for p in command.params if isinstance(p, click.Option) and p.required]
    return [*words, *(f"{p.opts[0]} {_metavar(p)}" for p in needed), "[OPTIONS]"]


def _argument(parameter: click.Argument) -> str:
    name = (parameter.name or "").upper()
    return name if parameter.required else f"[{name}]"


def _metavar(parameter: click.Parameter) -> str:
    return parameter.metavar or (parameter.name or "").upper()


def _table(parameters: list[click.Parameter]) -> str:
    lines = ["| | |", "| --- | --- |"]
    for p in parameters:
        if isinstance(p, click.Argument):
            name = f"`{_argument(p)}`"
        else:
            value = "" if getattr(p, "is_flag", False) else f" {_metavar(p)}"
            name = ", ".join(
                f"`{o}{value if o.startswith('--') else ''}`" for o in [*p.opts, *p.secondary_opts]
            )
        choices = f" One of {', '.join(p.type.choices)}." if isinstance(p.type, click.Choice) else ""
        lines.append(f"| {name} | {_plain(getattr(p, 'help', '') or '')}{choices} |")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """One paragraph of Markdown; what would be read as markup is escaped."""
    return re.sub(r"\s+", " ", text).strip().replace("``", "`").replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    from fedrisk.cli import app

    print(page(typer.main.get_command(app)), end="")
