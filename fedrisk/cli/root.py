"""The command ``fedrisk`` itself: options that hold everywhere, help of arguments, and errors that end it.

Every command and group has ``--quiet``, ``--verbose``, ``--log-file`` and ``--language``, at whatever place of the line
they stand.
"""

import contextlib
import signal
import threading
import traceback
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.models import ArgumentInfo

from fedrisk.cli.exits import report
from fedrisk.cli.help import show_usage_error, translating
from fedrisk.cli.output import fail, finish, prepare, screen
from fedrisk.errors import ConfigError
from fedrisk.files import private_append
from fedrisk.language import LANGUAGES, _, checked, speaking

EVERYWHERE = "Everywhere"
"""Panel of a help screen with the options that every command has."""


class Root(TyperGroup):
    """The root of all commands; whatever a command raises becomes one line and an exit code (`exits`)."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for command in walk(self):
            _restore_help(command)
            command.context_settings.setdefault("help_option_names", ["--help", "-h"])
            if isinstance(command, TyperGroup):
                # click says it as well.
                command.suggest_commands = False
            setattr(command, "format_help", translating(command))  # noqa: B010
            own = {name: p for p in command.params for name in p.opts}
            if "--json" in own:
                own["--json"].callback = _for_programs
            for option in _options():
                if option.opts[0] not in own:
                    command.params.append(option)
                else:
                    # A command with a flag of its own for it: the flag means both.
                    own[option.opts[0]].callback = option.callback

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Forgets what an earlier call in the same process was told."""
        screen.quiet, screen.verbose, screen.log_file, screen.failed = False, False, None, None
        prepare()
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            show_usage_error(error)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; errors are told in one line."""
        try:
            with _ending_as_by_hand():
                done = super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort) as error:
            _tell_lost_output()
            if isinstance(error, click.UsageError):
                show_usage_error(error)
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise typer.Exit(told(error)) from None
        if _tell_lost_output():
            raise typer.Exit(9)
        return done


@contextlib.contextmanager
def _ending_as_by_hand() -> Iterator[None]:
    """A terminal that is closed, or a service that is stopped, ends a command as Ctrl-C does: it says what was charged.

    What the caller set for a signal (nohup, a program that has its own handler) stays.
    """
    ours = []

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        ours = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def walk(command: click.Command) -> Iterator[click.Command]:
    """A command, and all commands below it."""
    yield command
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from walk(below)


def told(error: BaseException) -> int:
    """Tell an error in one line; the exit code. A reader of the output that went away is none."""
    if isinstance(error, OSError) and error.filename is None and _of_the_screen(error):
        screen.failed = error
        return 9 if _tell_lost_output() else 0
    code = report(error)
    _tell_lost_output()
    return code


def _of_the_screen(error: OSError) -> bool:
    """Whether a library that prints raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return any(f"/{name}/" in last.filename.replace("\\", "/") for name in ("click", "rich", "typer"))


def _tell_lost_output() -> bool:
    """Whether standard output did not take everything; then that is said."""
    lost = finish()
    if lost is not None:
        fail(
            _(
                "standard output could not be written: {reason}; what the command does is done, only what it shows is "
                "lost. Free space, or send it elsewhere, and look with fedrisk show, budget or audit",
                reason=lost.strerror,
            ),
            "store",
        )
    return lost is not None


def _restore_help(command: click.Command) -> None:
    """Help of arguments that Typer loses: since click 8.4 its ``Argument`` overwrites it with its own (None)."""
    lost = [p for p in command.params if isinstance(p, TyperArgument) and not p.help]
    if not lost or command.callback is None:
        return
    function = getattr(command.callback, "__wrapped__", command.callback)
    hints = typing.get_type_hints(function, include_extras=True)
    for parameter in lost:
        for said in getattr(hints.get(parameter.name or ""), "__metadata__", ()):
            if isinstance(said, ArgumentInfo):
                parameter.help = said.help


def _options() -> list[click.Parameter]:
    def set_to(name: str) -> Any:
        def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
            if value:
                setattr(screen, name, value)
                if name == "log_file":
                    _open_log(value)
            return value

        return keep

    shared: dict[str, Any] = {"expose_value": False, "rich_help_panel": EVERYWHERE, "show_default": False}
    return [
        TyperOption(
            param_decls=["--quiet", "-q"],
            is_flag=True,
            default=False,
            callback=set_to("quiet"),
            help="Results and errors alone, no progress and notes.",
            **shared,
        ),
        TyperOption(
            param_decls=["--verbose", "-v"],
            is_flag=True,
            default=False,
            callback=set_to("verbose"),
            help="Also what libraries say, and where an error arose.",
            **shared,
        ),
        TyperOption(
            param_decls=["--log-file"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            callback=set_to("log_file"),
            help="Append notes, progress and errors to this file too, for example run.log.",
            **shared,
        ),
        TyperOption(
            param_decls=["--language"],
            metavar="|".join(LANGUAGES),
            is_eager=True,
            callback=_speak,
            help="Language of what people read, for example zh; else that of FEDRISK_LANGUAGE, else of the locale.",
            **shared,
        ),
    ]


def _speak(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Speaks the language until the command has ended, its errors told."""
    if value is None or ctx.resilient_parsing:
        return value
    try:
        code = checked(value)
    except ConfigError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None
    ctx.find_root().with_resource(speaking(code))
    return code


def _for_programs(ctx: click.Context, parameter: click.Parameter, value: bool) -> bool:
    """What is for programs is English, whatever people read."""
    if value and not ctx.resilient_parsing:
        ctx.find_root().with_resource(speaking("en"))
    return value


def _open_log(file: Path) -> None:
    try:
        if not file.parent.is_dir():
            raise FileNotFoundError(2, "no such folder")
        with private_append(file):
            pass
    except OSError as error:
        screen.log_file = None
        raise click.BadParameter(f"{file} cannot be written: {error.strerror}; name another file") from None
