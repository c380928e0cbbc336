"""The page of a sweep: answers first, then pictures and tables for each data set, failures, and how to redo it.

Means, differences and intervals are those of `fedrisk.lab.summary`. Figures that others published stand in a table of
their own and as dashed lines, and enter nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fedrisk.files import make_folders
from fedrisk.lab.quoted import quoted_rows
from fedrisk.lab.summary import Failure, Mean, Panel, Point, Series, failures, panels
from fedrisk.language import _, either
from fedrisk.report.page import render_page, write_page
from fedrisk.report.plots import Plot
from fedrisk.report.sweep_figures import (
    all_models,
    auc_by_epsilon,
    costs,
    difference_by_epsilon,
    slope_by_epsilon,
)
from fedrisk.report.sweep_words import (
    GIVES,
    NATURES,
    answers,
    epsilon_words,
    failure_words,
    mean_words,
    model_words,
    panel_words,
    reference_words,
)
from fedrisk.study import NO_PRIVACY
from fedrisk.toml_file import toml_text

if TYPE_CHECKING:
    from fedrisk.lab.sweep import Sweep

PAGE = "index.html"


def write_sweep_page(folder: Path, rows: pd.DataFrame, sweep: "Sweep | None") -> Path:
    """Write ``index.html`` into the folder of a sweep; StoreError where the disk does not take it.

    rows: the columns of `fedrisk.lab.cell.Row`. sweep: what the rows are of; None where that is not known.
    """
    make_folders(folder)
    return write_page(folder / PAGE, render(rows, sweep, folder.name), private=False)


def render(rows: pd.DataFrame, sweep: "Sweep | None" = None, folder: str = "sweep") -> str:
    """The page. folder: the name of its folder, for the command that makes it again."""
    rows = _with_quoted(rows)
    found = panels(rows)
    names = [panel_words(p, found) for p in found]
    return render_page(
        "sweep.html.jinja",
        notice=NO_PRIVACY if bool(rows["research"].fillna(True).any()) else None,
        title=_title(sweep),
        answers=[(name, said) for p, name in zip(found, names, strict=True) if (said := answers(p))],
        tiles=_counts(rows),
        panels=[_panel(p, name) for p, name in zip(found, names, strict=True)],
        costs=_costs(found, names),
        natures=_natures(found),
        failed=[_failure(f) for f in failures(rows)],
        quoted=_quoted(rows),
        made=_made(rows),
        command=f"fedrisk bench {_file(sweep)} --out {folder}",
        again=f"fedrisk report sweep {folder}",
        file=_plain(sweep),
        one_seed=any(m.seeds == 1 for m in _means(found)),
        reference=reference_words(),
    )


def _with_quoted(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, with what others published of the same data sets where that is not among them."""
    if bool((rows["kind"] == "quoted").any()):
        return rows
    further = [asdict(row) for name in rows["data_set"].unique() for row in quoted_rows(str(name))]
    if not further:
        return rows
    added = pd.DataFrame(further).reindex(columns=rows.columns)
    return pd.DataFrame([*rows.to_dict("records"), *added.to_dict("records")], columns=rows.columns)


def _title(sweep: "Sweep | None") -> str:
    if sweep is None:
        return _("Sweep: privacy against accuracy")
    return sweep.title or _("Sweep {name}: privacy against accuracy", name=sweep.name)


def _file(sweep: "Sweep | None") -> str:
    return "SWEEP.toml" if sweep is None else f"{sweep.name}.toml"


def _plain(sweep: "Sweep | None") -> str:
    return "" if sweep is None else toml_text(sweep.model_dump())


def _counts(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """How much the sweep tried."""
    own = rows[rows["kind"] != "quoted"]
    studies = own[own["kind"] == "study"]
    sets, epsilons, seeds = (int(own[name].nunique()) for name in ("data_set", "epsilon", "seed"))
    cells = int(studies["cell"].nunique())
    return [
        (f"{cells:,}", either("study", "studies", cells)),
        (f"{sets}", either("data set", "data sets", sets)),
        (f"{epsilons}", either("value of epsilon", "values of epsilon", epsilons)),
        (f"{seeds}", either("seed", "seeds", seeds)),
    ]


def _panel(panel: Panel, name: str) -> dict[str, Any]:
    at = panel.headline_epsilon()
    spoken = (
        _("All models at epsilon {epsilon}", epsilon=f"{at:g}")
        if math.isfinite(at)
        else _("All models without noise")
    )
    pictures: list[tuple[Plot, str]] = []
    has_auc = any("auc" in p.figures for s in panel.series for p in s.points)
    if has_auc:
        if len(panel.epsilons) > 1:
            pictures.append((auc_by_epsilon(panel, name).plot(), _("AUC against epsilon")))
        pictures.append((all_models(panel, name, at).plot(), spoken))
    if any(p.difference for s in panel.series if s.nature != "nothing" for p in s.points):
        pictures.append(
            (difference_by_epsilon(panel, name).plot(), _("Difference to pooled boosting, on the same rows"))
        )
    if any("calibration_slope" in p.figures for s in panel.main for p in s.points):
        pictures.append((slope_by_epsilon(panel, name).plot(), _("Calibration slope against epsilon")))
    return {
        "name": name,
        "about": _(
            "{rows} enterprises with a label, {defaults} of them defaults, training and hold-out together",
            rows=_from_to(panel.rows),
            defaults=_from_to(panel.defaults),
        )
        if panel.rows[1]
        else "",
        "pictures": pictures,
        "lines": [line for s in _ordered(panel) for line in _lines(panel, s)],
    }


def _from_to(found: tuple[int, int]) -> str:
    low, high = found
    return f"{low:,}" if low == high else _("{low} to {high}", low=f"{low:,}", high=f"{high:,}")


def _ordered(panel: Panel) -> list[Series]:
    """Studies first, then private models, those of labels, those without privacy."""
    kinds = list(NATURES)
    return sorted(panel.series, key=lambda s: (kinds.index(s.nature), s not in panel.main))


def _lines(panel: Panel, series: Series) -> list[list[str]]:
    """Cells of the table: model, epsilon, figures, seconds, seeds."""
    return [
        [
            model_words(series, panel),
            _("any") if series.flat else epsilon_words(point.epsilon),
            mean_words(point.figures.get("auc")),
            mean_words(point.difference, plus=True),
            *(_short(point, name) for name in ("ks", "brier", "log_loss")),
            mean_words(point.figures.get("calibration_slope"), 2),
            _short(point, "seconds", 1),
            str(max((m.seeds for m in point.figures.values()), default=0)),
        ]
        for point in series.points
    ]


def _short(point: Point, name: str, digits: int = 3) -> str:
    value = point.value(name)
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _costs(found: Sequence[Panel], names: Sequence[str]) -> list[tuple[Plot, str]]:
    """Bytes and seconds of studies, where any was told."""
    studies = [(name, p, s) for p, name in zip(found, names, strict=True) for s in p.main]
    shown = []
    for figure, caption in (
        ("bytes", _("Bytes between hub and institutions")),
        ("seconds", _("Seconds of a study")),
    ):
        if any(figure in point.figures for _name, _panel, s in studies for point in s.points):
            shown.append((costs(studies, figure).plot(), caption))
    return shown


def _natures(found: Sequence[Panel]) -> list[tuple[str, str, list[str]]]:
    """What each kind of model protects: heading, in words, and which models are of it."""
    shown = []
    for nature, heading in NATURES.items():
        models = dict.fromkeys(model_words(s, p) for p in found for s in p.series if s.nature == nature)
        if models:
            shown.append((_(heading), _(GIVES[nature]), list(models)))
    return shown


def _failure(failure: Failure) -> list[str]:
    return [
        failure.data_set,
        failure.model,
        ", ".join(epsilon_words(e) for e in failure.epsilons),
        str(failure.cells),
        failure_words(failure),
    ]


def _quoted(rows: pd.DataFrame) -> list[list[str]]:
    """Published figures: data set, whose, epsilon, AUC, and from where."""
    own = rows[rows["kind"] == "quoted"]
    return [
        [
            str(row["data_set"]),
            str(row["model"]),
            f"{row['epsilon']:g}" if math.isfinite(row["epsilon"]) else _("no guarantee"),
            "–" if pd.isna(row["auc"]) else f"{row['auc']:.3f}",
            str(row["source"]),
        ]
        for row in own.to_dict("records")
    ]


def _made(rows: pd.DataFrame) -> Mapping[str, list[str]]:
    """Versions, and digests of data by data set and seed."""
    own = rows[rows["kind"] != "quoted"]
    digests = own[["data_set", "seed", "data_digest"]].drop_duplicates()
    return {
        "versions": [v for v in own["versions"].fillna("").unique() if v],
        "digests": [
            _("{data_set}, seed {seed}: {digest}", data_set=name, seed=seed, digest=digest)
            for name, seed, digest in digests.itertuples(index=False)
            if digest
        ],
    }


def _means(found: Sequence[Panel]) -> list[Mean]:
    return [m for p in found for s in p.series for point in s.points for m in point.figures.values()]
