"""The report of a study as one HTML file without anything from outside: its operator's, or that of its statistics."""

from pathlib import Path

from fedrisk.releases.statistics import UNKNOWN
from fedrisk.report.display import for_people
from fedrisk.report.operator import operator_page, seasons, selection
from fedrisk.report.page import render_page, write_page
from fedrisk.report.plain_privacy import mu_words, price_of
from fedrisk.report.statistics_view import category_words, figures_of, view
from fedrisk.report.text import by_price, number, price_words, privacy_words
from fedrisk.server.results import Results

OPEN_ROWS = 20
"""Rows of a table of statistics that are open on the page."""


def write_report(results: Results, folder: Path) -> Path:
    """Write ``report.html`` into the folder of a run; StoreError names the file."""
    return write_page(folder / "report.html", render(results))


def render(results: Results, begun: str | None = None) -> str:
    """The report as a page, in the language that is spoken. begun: when the run began, where that is known."""
    if figures_of(results) is None:
        return operator_page(results, begun)
    names = {shown: name for name, shown in results.display_names.items()}
    results = for_people(results)
    found = figures_of(results)
    assert found is not None
    return render_page(
        "statistics.html.jinja",
        filters={"number": number, "price": price_words, "mu": mu_words},
        m=results,
        notice=results.research,
        figures=view(found, results.display_names),
        own_names=names,
        privacy=privacy_words(results),
        spends=[{**s, "mu": price_of(s["mu"])} for s in by_price(results.spends)],
        selection=selection(results),
        seasons=seasons(results),
        open=OPEN_ROWS,
        unknown=category_words(UNKNOWN),
    )
