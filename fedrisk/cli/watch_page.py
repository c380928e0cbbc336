"""``fedrisk watch page``: the page of a month that is kept, written again, as after new outcomes."""

from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli.asking import Place, institution_file
from fedrisk.cli.common import AsJson, PageLanguage
from fedrisk.cli.output import note, tell, tell_json
from fedrisk.cli.watch import Name, watch_app
from fedrisk.cli.watch_alerts import one_watch
from fedrisk.language import _, about, speaking

Wanted = Annotated[
    str | None,
    typer.Option("--month", help="Which month, for example 2026-05; default: the last.", show_default=False),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Another folder for the page, for example /srv/reports; default: the watch's.",
        show_default=False,
    ),
]


@watch_app.command("page")
def watch_page(
    bank: Place,
    month: Wanted = None,
    watch: Name = None,
    out: Folder = None,
    language: PageLanguage = None,
    as_json: AsJson = False,
) -> None:
    """Write a month's page again: alerts, grades, stability, back-test, challenger; ids are on it, and it stays here.

    Outcomes that became known since are in its back-test. MONTH.json beside it has the same figures for programs.
    """
    from fedrisk.clients.node import Node
    from fedrisk.errors import ConfigError
    from fedrisk.report.watch_page import write_watch_page
    from fedrisk.report.watch_words import verdicts
    from fedrisk.watching.figures import month_figures
    from fedrisk.watching.month import Month

    node = Node.load(institution_file(bank))
    name, kept = one_watch(node, watch)
    wanted = kept.newest() if month is None else Month.parse(month)
    if wanted is None or wanted not in kept.months():
        there = ", ".join(str(m) for m in kept.months()) or "none"
        raise ConfigError(f"watch {name} keeps no month {wanted or month}; it keeps {there}")
    with speaking(language):
        figures = month_figures(node, kept, wanted)
        page = write_watch_page(out or kept.pages, figures)
        if as_json:
            tell_json({"page": str(page), **figures.to_dict()})
            return
        with about(figures.label.get("name")):
            for said, kind in verdicts(figures):
                tell(said, "bold" if kind in ("alarm", "doubt") else None)
        note(_("page: {page}", page=page), style=None)
