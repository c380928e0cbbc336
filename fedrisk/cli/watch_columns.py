"""``fedrisk watch columns``: an institution looks at its own columns by month; nothing of it leaves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.asking import Place, institution_file
from fedrisk.cli.common import AsJson, PageLanguage
from fedrisk.cli.output import note, plain_table, tell, tell_json, tell_table
from fedrisk.cli.watch import watch_app
from fedrisk.language import _, of_kind, speaking

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.models.model_part import ModelPart
    from fedrisk.report.watch_columns_page import ByMonth, ColumnMonths
    from fedrisk.watching.month import Month

Wanted = Annotated[
    str,
    typer.Option("--month", help="The month that the table is of, for example 2026-05."),
]
Which = Annotated[
    str | None,
    typer.Option(
        "--model", help="One model alone: the beginning of its id, for example 5c1d0e9a.", show_default=False
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder for a page of each model, for example columns; default: none.",
        show_default=False,
    ),
]


@watch_app.command("columns")
def watch_columns(
    institution: Place,
    month: Wanted,
    model: Which = None,
    out: Folder = None,
    language: PageLanguage = None,
    as_json: AsJson = False,
) -> None:
    """An institution's own columns in its models by month: its table now, and who was asked about; for itself alone.

    The table is counted over the bins of each model once a month, and counts alone are kept. A change is an alarm at a
    stated rate of false ones over all columns and a year. Run it each month, for example fedrisk watch columns
    tax_office.toml --month 2026-05.
    """
    from fedrisk.clients.node import Node
    from fedrisk.report.watch_columns_page import verdict, write_columns_page
    from fedrisk.watching.month import Month

    wanted, node = Month.parse(month), Node.load(institution_file(institution))
    found = [_counted(node, part, wanted) for part in _parts(node, model)]
    with speaking(language):
        pages = []
        if out is not None:
            pages = [write_columns_page(out / f"{one.model['model']}-{month}.html", one) for one in found]
        if as_json:
            tell_json({"models": [one.to_dict() for one in found], "pages": [str(p) for p in pages]})
            return
        for one in found:
            tell(_("model {model}: {verdict}", model=one.model["model"], verdict=verdict(one)))
            _show(_("own table"), _("since the first month"), one.table, month)
            _show(_("who was asked about"), _("since development"), one.asked, month)
        for page in pages:
            note(_("page: {page}", page=page), style=None)


def _parts(node: "Node", model: str | None) -> "list[ModelPart]":
    """Parts of models with own columns here; ConfigError where there is none."""
    from fedrisk.errors import ConfigError

    if model is not None:
        return [node.store.models.part(model)]
    found = [part for part in node.store.models.parts() if part.bins]
    if not found:
        raise ConfigError(
            f"{node.name} has no model with columns of its own; a study leaves one to its members"
        )
    return found


def _counted(node: "Node", part: "ModelPart", month: "Month") -> "ColumnMonths":
    from fedrisk.analysis.watch.column_months import by_month
    from fedrisk.analysis.watch.drift_alarms import DriftRules
    from fedrisk.cli.model_drift import counted_features
    from fedrisk.report.watch_columns_page import ColumnMonths
    from fedrisk.serving.drift import read_drift
    from fedrisk.watching.own_table import count_table, counted_bins, months

    count_table(node, part, month)
    counts = {m: each for m, each in months(node, part).items() if m <= str(month)}
    asked = read_drift(node.store.path / "serving")
    there = {} if asked is None else {m: each for m, each in asked.bins.items() if m <= str(month)}
    return ColumnMonths(
        institution=node.name,
        month=str(month),
        model={"model": part.model, "name": part.name, "version": part.version},
        table=by_month(counted_bins(part), {}, counts, first=True),
        asked=by_month(*counted_features(part), there) if part.shares else {},
        rules=DriftRules(),
    )


def _show(title: str, since: str, by_month: "ByMonth", month: str) -> None:
    from fedrisk.report import watch_words
    from fedrisk.report.validation_words import count, stability_index

    if not by_month.get(month):
        return
    figures = (_("since the month before"), since)
    column, alarm = of_kind("watch", "column"), of_kind("watch", "alarm")
    table = plain_table(title, column, of_kind("watch", "rows"), *figures, alarm, right=figures)
    for d in by_month[month]:
        style = "red" if d.alarms else None
        shown = (stability_index(d.by_month), stability_index(d.by_development))
        table.add_row(d.name, count(d.rows), *shown, watch_words.alarm(d), style=style)
    tell_table(table)
    for said in watch_words.nameable(by_month[month]):
        tell(said)
