"""The commands.

``init``, ``dictionary``, ``keys`` to begin with; ``check``, ``plan``, ``run``, ``show``, ``runs``, ``compare`` for
studies; ``results``, ``own``, ``budget``, ``policy``, ``meter``, ``audit``, ``quota`` for institutions; ``decide`` for
a bank's table of decisions; ``score`` and ``watch`` for its loans; ``query`` for private statistics; ``drift``,
``fragility``, ``losses``, ``contribution``, ``memory`` for what follows from released numbers; ``bench`` and
``data-set`` for research on public or simulated data; ``attack`` for attacks on the product itself.

What a command needs is imported inside it, so that help and completion come at once.
"""

import logging
import sys
import warnings
from typing import Annotated, TextIO

import typer

from fedrisk.cli import (
    card_export,
    hub_check,
    hub_members,
    hub_scoring,
    hub_serve,
    keys,
    model_serve,
    node_check,
    node_join,
    node_proposals,
    node_scoring,
    node_serve,
    report_bank,
    report_card,
    report_holder,
    report_operator,
    report_sweep,
    report_validation,
    study,
    usage,
    watch_alerts,
    watch_columns,
    watch_page,
    watch_send,
)
from fedrisk.cli.attack import attack
from fedrisk.cli.audit import audit_app
from fedrisk.cli.bench import bench
from fedrisk.cli.budget import budget_app
from fedrisk.cli.card import card_app
from fedrisk.cli.check import check
from fedrisk.cli.contribution import contribution
from fedrisk.cli.data_set import data_set_app
from fedrisk.cli.decide import decide_app
from fedrisk.cli.dictionary import dictionary_app
from fedrisk.cli.drift import drift
from fedrisk.cli.exits import EXIT_CODES
from fedrisk.cli.fragility import fragility
from fedrisk.cli.hub import hub_app
from fedrisk.cli.index import index
from fedrisk.cli.init import init_app
from fedrisk.cli.losses import losses
from fedrisk.cli.measure import measure_app
from fedrisk.cli.memory import memory
from fedrisk.cli.model import model_app
from fedrisk.cli.node import node_app
from fedrisk.cli.output import append_log, note, screen
from fedrisk.cli.plan import plan
from fedrisk.cli.policy import policy_app
from fedrisk.cli.query import query
from fedrisk.cli.report import report_app
from fedrisk.cli.results import own, results
from fedrisk.cli.root import Root, told
from fedrisk.cli.runs import compare, runs_app
from fedrisk.cli.score import score
from fedrisk.cli.store import store_app
from fedrisk.cli.version import show_version, version
from fedrisk.cli.watch import watch_app
from fedrisk.errors import LeftUndone
from fedrisk.home import RelativeHome
from fedrisk.language import _
from fedrisk.language_patterns import retold
from fedrisk.renamed import OldWord

_CODES = "\n\n".join(f"{code}: {meaning}" for code, meaning in EXIT_CODES.items())

app = typer.Typer(
    name="fedrisk",
    cls=Root,
    help="Privacy-preserving federated risk modelling: data are available but not visible.",
    epilog=f"Exit codes\n\n{_CODES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _command in (
    check,
    plan,
    study.run,
    study.show,
    compare,
    query,
    drift,
    results,
    own,
    losses,
    contribution,
    memory,
    score,
    index,
    fragility,
    attack,
    bench,
    usage.meter,
    usage.quota,
    keys.keys,
    version,
):
    app.command()(_command)
# Commands of a group in files of their own are there once these are imported.
_REGISTERED = (
    card_export,
    hub_check,
    hub_members,
    hub_scoring,
    hub_serve,
    model_serve,
    node_check,
    node_join,
    node_proposals,
    node_scoring,
    node_serve,
    report_bank,
    report_card,
    report_holder,
    report_operator,
    report_sweep,
    report_validation,
    watch_alerts,
    watch_columns,
    watch_page,
    watch_send,
)
app.add_typer(init_app, name="init")
app.add_typer(dictionary_app, name="dictionary")
app.add_typer(runs_app, name="runs")
app.add_typer(budget_app, name="budget")
app.add_typer(policy_app, name="policy")
app.add_typer(audit_app, name="audit")
app.add_typer(decide_app, name="decide")
app.add_typer(store_app, name="store")
app.add_typer(model_app, name="model")
app.add_typer(hub_app, name="hub")
app.add_typer(node_app, name="node")
app.add_typer(measure_app, name="measure")
app.add_typer(report_app, name="report")
app.add_typer(card_app, name="card")
app.add_typer(data_set_app, name="data-set")
app.add_typer(watch_app, name="watch")


@app.callback()
def _root(
    show: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=show_version, help="Show the version.")
    ] = False,
) -> None:
    """Options of the command itself; those that hold everywhere are added by `Root`."""


class _Log(logging.Handler):
    """What libraries log: to --log-file, with --verbose to standard error, and nowhere else."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{record.name}: {record.getMessage()}"
        except Exception:
            return
        if screen.verbose:
            note(line)
        elif screen.log_file is not None:
            append_log(screen.log_file, line + "\n")


_said: set[str] = set()


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Shows an old word or a relative home as a note, without the place in the code; the rest is logged."""
    if issubclass(category, OldWord | RelativeHome):
        # Python says a warning once only until a library touches the filters.
        if str(message) not in _said:
            _said.add(str(message))
            note(_("note: {note}", note=retold(str(message))), style=None)
    elif issubclass(category, LeftUndone):
        note(_("warning: {note}", note=retold(str(message))), style="yellow")
    else:
        logging.getLogger("py.warnings").warning("%s: %s", category.__name__, message)


def _silence_libraries() -> None:
    """Log records and warnings of libraries go to the log; Flower's logger has a handler of its own on the screen."""
    logging.root.handlers = [_Log(logging.WARNING)]
    flower = logging.getLogger("flwr")
    flower.handlers, flower.propagate = [], True
    flower.setLevel(logging.WARNING)
    warnings.showwarning = _warn


def main() -> None:
    """Entry point; ends with an exit code of `exits.EXIT_CODES`, never with a traceback."""
    _silence_libraries()
    try:
        app()
    except (Exception, KeyboardInterrupt) as error:
        # What comes before a command: its completion, its help.
        sys.exit(told(error))
