"""``fedrisk fragility``: the fragility index of a series of quarterly statistics studies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, plain_table, tell, tell_json, tell_table
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.analysis.fragility_table import Fragility

SHOWN = 10


def fragility(
    series: Annotated[
        Path,
        typer.Argument(
            help="The index's file (TOML): quarters with their results, cells, indicators; for example fragility.toml.",
            show_default=False,
        ),
    ],
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for fragility.html, fragility.csv and fragility.parquet, for example results/fragility; "
            "default: nothing is written.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The fragility index by cell and quarter, from release records alone: index, drivers, ranks, alarms; no charge."""
    from fedrisk.analysis.fragility_panel import load_records, panel_of
    from fedrisk.analysis.fragility_settings import load_settings
    from fedrisk.analysis.fragility_table import Fragility, summary
    from fedrisk.report.fragility import write_fragility
    from fedrisk.report.geometry import load_shapes

    settings = load_settings(series)
    drawn = settings.map
    shapes = None if drawn is None else load_shapes(series.parent / drawn.file, drawn.property)
    panel = panel_of(settings, load_records(settings, series.parent))
    found = Fragility.of(settings, panel)
    written = write_fragility(found, out_folder, shapes) if out_folder else []
    if as_json:
        tell_json({**summary(found), "files": [str(path) for path in written]})
    else:
        _show(found)
    for path in written:
        note(_("written: {path}", path=path))


def _show(found: "Fragility") -> None:
    from fedrisk.analysis.fragility_table import by_rank, counts
    from fedrisk.report.fragility import driver_words, headline, percent_words, points_words
    from fedrisk.study import NO_PRIVACY

    judged, panel = found.last, found.panel
    if panel.research:
        tell(NO_PRIVACY, "bold red")
    tell(headline(found), "bold")
    axes, worst = panel.axes, _("among {worst} worst", worst=found.settings.worst)
    right = ("rank", "index", worst)
    table = plain_table(
        "the most fragile cells", "rank", *axes, "index", "alarm", worst, "driven by", right=right
    )
    for c in by_rank(judged)[:SHOWN]:
        index, half = float(judged.index[c]), float(judged.high[c] - judged.index[c])
        table.add_row(
            f"{judged.rank[c]} ({judged.rank_low[c]}–{judged.rank_high[c]})",
            *panel.cells[c],
            f"{points_words(index)} ± {points_words(half)}",
            "alarm" if judged.alarm[c] else "",
            percent_words(float(judged.worst[c])),
            driver_words(found, judged, c),
        )
    tell_table(table)
    n = counts(judged, found.settings)
    note(
        _(
            "50 is as usual in a cell, 10 points are a typical cell's usual move; {withheld} cells say less than "
            "their noise and are withheld",
            withheld=n["withheld"],
        )
    )
    for quarter, indicator in panel.absent:
        note(_("{quarter}: no record of {indicator}", quarter=quarter, indicator=indicator))
