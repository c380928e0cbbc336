"""``fedrisk watch``: a bank's active loans, scored anew every month."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.asking import Members, Place, institution_file, way_to_members
from fedrisk.cli.common import AsJson, ShowFirst
from fedrisk.cli.output import alert, note, out, plain_table, tell, tell_json
from fedrisk.language import _, either

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedrisk.watching.outcomes import Taken
    from fedrisk.watching.run import Done
    from fedrisk.watching.sinks import Undelivered


class RunFirst(ShowFirst):
    """``watch BANK MODEL`` is ``watch run BANK MODEL``."""

    first = "run"


watch_app = typer.Typer(
    cls=RunFirst,
    help="A bank's active loans, scored anew every month: alerts with reasons, to the bank alone.",
    no_args_is_help=True,
)

Name = Annotated[
    str | None,
    typer.Option(
        "--watch", help="Which watch, where the bank has several: the name of its folder, for example demo."
    ),
]


@watch_app.command("run")
def watch_run(
    bank: Place,
    model: Annotated[
        str,
        typer.Argument(
            help="champion, the name of a study, or the beginning of a model's id, for example 3f09."
        ),
    ],
    month: Annotated[str, typer.Option("--month", help="The month that is watched, for example 2026-05.")],
    outcomes: Annotated[
        Path | None,
        typer.Option(
            "--outcomes",
            help="Before the month's work, take what became of loans from this file (fedrisk watch outcomes), for "
            "example matured.csv.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", help="Of the outcomes, take those of this label, for example default."),
    ] = None,
    members: Members = None,
    as_json: AsJson = False,
) -> None:
    """Score a month's active loans, keep it, raise alerts; for example fedrisk watch bank champion --month 2026-05.

    What is watched, and where alerts go, is the section watch in the bank's own file. Loans go to the members a
    thousand a question, through the hub or, with --members, on this machine. A month is done once: killed or cut off,
    the same command goes on where it was, asks nobody twice and tells no alert twice; given again, it changes nothing.
    """
    from fedrisk.cli.progress import Progress
    from fedrisk.cli.watch_month import page_writer
    from fedrisk.clients.node import Node
    from fedrisk.watching.month import Month
    from fedrisk.watching.run import kept_of, outcomes_of, watch

    wanted = Month.parse(month)
    node = Node.open(institution_file(bank))
    taken = None if outcomes is None else outcomes_of(node, kept_of(node, model), outcomes, label)
    with Progress().watching(), way_to_members(bank, node, members) as relay:
        done = watch(node, model, wanted, relay, write_page=page_writer(node))
    if outcomes is not None and taken is None:
        note(
            _("no month was kept before, so that no outcome belonged to any: the file was not read"),
            style=None,
        )
    if as_json:
        more = {} if taken is None else {"outcomes": taken.to_dict()}
        tell_json({"bank": node.name, **done.to_dict(), **more})
    else:
        _show(done, taken)
    _end(done)


def _show(done: "Done", taken: "Taken | None") -> None:
    """What the month came to; no id of an enterprise, since whatever starts the command may keep what it prints."""
    from fedrisk.report import watch_alert_words as alert_words

    if taken is not None:
        show_taken(taken)
    said = done.about["scores"]
    if done.kept:
        note(
            _(
                "{month} of watch {watch} was kept before: nobody was asked",
                month=done.month,
                watch=done.watch,
            ),
            style=None,
        )
    if done.anew:
        note(
            _(
                "the month before was scored by another model, whose scale is another: falls are looked for from this "
                "month on"
            ),
            style=None,
        )
    table = plain_table(
        _(
            "{month}: {rows:,} active loans, {scored:,} with a score",
            month=done.month,
            rows=said["rows"],
            scored=said["scored"],
        ),
        "model",
        "asked as",
        "loans",
        "without a score",
        right=("loans", "without a score"),
    )
    for of, about in done.about.items():
        codes = ", ".join(f"{code}: {count:,}" for code, count in about["codes"].items())
        table.add_row(about["model"], _asked_as(of), f"{about['rows']:,}", codes)
    out.print(table)
    note(
        _(
            "{new:,} loans are new, {gone:,} are gone since the month before",
            new=said.get("new", 0),
            gone=said.get("gone", 0),
        ),
        style=None,
    )
    raised = len(done.alerts)
    tell(either("{count} new alert", "{count:,} new alerts", raised - done.stock))
    if done.stock:
        tell(alert_words.stock(done.stock))
    for text in [] if done.rules is None else alert_words.not_looked_for(asdict(done.rules)):
        alert(text, "bold")
    if done.page is not None:
        note(_("page: {page}", page=done.page), style=None)


def _asked_as(of: str) -> str:
    return {
        "scores": _("watched"),
        "warning": _("warning"),
        "challenger": _("challenger"),
    }[of]


def _end(done: "Done") -> None:
    """An error where alerts wait for a sink: whoever starts the command has to hear of it."""
    raise_untold(done.waiting, "the month is kept")


def raise_untold(left: "Mapping[str, Undelivered]", done: str) -> None:
    """LaterError where alerts wait for a sink, PeerError where one was refused; nothing of an alert is in it.

    done: what the command did all the same, or what it left as it was, in words.
    """
    from fedrisk.errors import LaterError, PeerError

    refused = {sink: one for sink, one in left.items() if one.refused}
    waiting = {sink: one for sink, one in left.items() if one.waiting}
    said = []
    if waiting:
        reasons = "; ".join(f"{sink}: {one.waiting:,} ({one.reason})" for sink, one in waiting.items())
        said.append(f"alerts wait to be told: {reasons}. The same command tells them again")
    if refused:
        reasons = "; ".join(f"{sink}: {one.refused:,} ({one.reason})" for sink, one in refused.items())
        said.append(
            f"alerts were refused: {reasons}. They hold back no others, and stay in the record: fedrisk watch alerts "
            "says which, and fedrisk watch send gives them again"
        )
    if said:
        raise (LaterError if waiting else PeerError)(f"{done}. {' '.join(said)}")


def show_taken(taken: "Taken") -> None:
    """What came of a file of outcomes."""
    tell(
        _(
            "outcomes: {new:,} new, {same:,} known, {changed:,} changed, {unknown:,} of loans without a score in that "
            "month, {others:,} of other labels",
            **taken.to_dict(),
        )
    )
