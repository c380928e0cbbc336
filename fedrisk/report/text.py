"""Results on the screen, with rich."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fedrisk.findings import Finding
from fedrisk.language import _, listed, of_kind
from fedrisk.models.binning import Bins
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipe import Section
from fedrisk.releases.gradient_sums import STEP
from fedrisk.report.display import for_people
from fedrisk.report.label_words import about_its_label
from fedrisk.report.scale import ScoreRow, Unknown, by_rule, scale_findings, score_rows, unknown_rows
from fedrisk.report.statistics_text import head_rows, statistics_view
from fedrisk.report.statistics_text import tables as statistics_tables
from fedrisk.report.statistics_view import figures_of
from fedrisk.report.warning_words import warning_line
from fedrisk.report.words import cell, sentence, word
from fedrisk.server.results import BankFigures, Baseline, DisclosureLine, Results

MOST_ROWS = 12
"""Rows of a section that are shown on the screen; the report has all."""


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none.

    >>> number(None), number(0.76543)
    ('–', '0.765')
    """
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign and a true minus.

    >>> signed(-0.0213), signed(0.04)
    ('−0.021', '+0.040')
    """
    return f"{value:+.{digits}f}".replace("-", "−")


def own_sentences(verdict: Mapping[str, Any]) -> list[str]:
    """What a bank's own comparison says to it, the model to use first (own_figures.json, ``verdict``)."""
    said = [sentence(f) for f in TypeAdapter(list[Finding]).validate_python(verdict["findings"])]
    rule = [sentence(Finding("own_rule"))] if verdict["against_own"] else []
    return [said[0], *rule, *(text[:1].upper() + text[1:] for text in said[1:])]


@about_its_label
def main_figures(results: Results) -> RenderableType:
    """What a run ends with: verdict, main figures, what to know of them, and trails that contradict each other."""
    results = for_people(results)
    parts = _main(results)
    if results.by_bank:
        parts.append(_banks(results.by_bank))
    if results.baselines:
        parts.append(_baselines(results))
    if results.disagreements:
        parts.append(_compared(results))
    return Group(*parts)


@about_its_label
def summary(results: Results) -> RenderableType:
    """`main_figures`, and all tables: scores, prices, who saw what, features and points."""
    results = for_people(results)
    parts = _main(results)
    if results.card is not None:
        parts += _scale(results.card)
    if results.by_bank:
        parts.append(_banks(results.by_bank))
    if (shown := statistics_view(results)) is not None:
        parts += statistics_tables(shown)
    parts.append(_spends(results))
    if results.disclosures:
        parts.append(_disclosures(results))
    if results.baselines:
        parts.append(_baselines(results))
    parts += [_section(section) for section in results.sections]
    if results.card is not None and results.card.errors is not None:
        parts.append(_points(results.card))
    return Group(*parts)


def _main(results: Results) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if results.notice:
        parts.append(Text(f" {results.notice} ", style="bold white on red"))
    parts += [_verdict_line(f, first=k == 0) for k, f in enumerate(results.verdict)]
    parts.append(_head(results))
    parts += [] if results.warning is None else [Text(warning_line(results.warning), style="bold")]
    parts += [Text(sentence(finding), style="bold") for finding in results.findings]
    parts += [Text(sentence(finding)) for finding in scale_findings(results)]
    return parts


def feature_words(bins: Bins) -> str:
    """A feature's name; whether a holder knows an enterprise is no column, and is put into words."""
    if bins.feature.kind == "known":
        return sentence(Finding("known_feature", {"holder": bins.feature.institution}))
    return bins.feature.name


def score_cells(row: ScoreRow, curved: bool) -> tuple[str, ...]:
    """Score, odds, probability, and where the calibration is curved the probability by 20 points alone."""
    odds = _("{odds:,.0f} to 1", odds=row.odds) if row.odds >= 10 else _("{odds:.1f} to 1", odds=row.odds)
    cells = (str(row.score), odds, _percent(row.probability))
    return (*cells, _percent(row.rule)) if curved else cells


def score_columns(curved: bool) -> tuple[str, ...]:
    """Headings of `score_cells`."""
    codes = ("score", "odds", "probability", *(("rule",) if curved else ()))
    return tuple(word("column", code) for code in codes)


def unknown_cells(row: Unknown) -> tuple[str, str]:
    """Holder, and how many points less than the average enterprise one has that it does not know."""
    points = f"{-row.points:.1f}".replace("-", "−")
    if row.error is None:
        return row.holder, of_kind("unknown", "{points}, by rule", points=points)
    return row.holder, f"{points} ± {row.error:.1f}"


def points_words(points: int, error: float | None) -> str:
    """Points with their standard error, which points by rule do not have.

    >>> points_words(-4, 1.26), points_words(0, 0.2), points_words(3, None)
    ('-4 ± 1.3', '0 by rule', '3')
    """
    if error is None:
        return str(points)
    return f"{points} {word('row', 'neutral')}" if by_rule(error) else f"{points} ± {error:.1f}"


def _percent(p: float) -> str:
    return f"{p:.2%}" if p < 0.1 else f"{p:.1%}"


def _scale(card: Scorecard) -> list[RenderableType]:
    """Probabilities by score, and what it means to be unknown."""
    curved = is_curved(card)
    scores = Table(*score_columns(curved), title=word("section", "scores").lower(), title_justify="left")
    for row in score_rows(card):
        scores.add_row(*score_cells(row, curved))
    parts: list[RenderableType] = [scores]
    if unknown := unknown_rows(card):
        table = Table(
            word("column", "holder"),
            word("column", "less_than_average"),
            title=word("section", "unknown").lower(),
            title_justify="left",
        )
        for found in unknown:
            table.add_row(*unknown_cells(found))
        parts.append(table)
    return parts


def is_curved(card: Scorecard) -> bool:
    """Whether the calibration has a curvature."""
    return card.calibration is not None and not card.calibration.straight


def _verdict_line(found: Finding, *, first: bool) -> Text:
    style = {"card_worthless": "bold white on red", "card_doubtful": "bold yellow"}.get(found.code)
    return Text(sentence(found), style=style or ("bold" if first else "dim"))


def _head(r: Results) -> Table:
    head = _pairs(_("study {study}", study=r.study))
    if (shown := statistics_view(r)) is not None:
        for name, text in head_rows(shown):
            head.add_row(name, Text(text))
    else:
        _model_rows(head, r)
    head.add_row(_("privacy"), privacy_words(r))
    head.add_row(
        _("time"),
        _(
            "{seconds} s, {exchanges} exchanges, {peak_mb:.0f} MB at most",
            seconds=r.seconds,
            exchanges=r.exchanges,
            peak_mb=r.peak_mb,
        ),
    )
    head.add_row(
        _("sent to the hub"),
        ", ".join(_("{n} {b:.1f} MB", n=n, b=b / 1000000.0) for n, b in r.bytes_sent.items()),
    )
    return head


def _model_rows(head: Table, r: Results) -> None:
    """How many enterprises a model was made of, and how good it is."""
    rows = r.rows
    without = sum(rows.unlabelled.values())
    about, scored = (
        (_("about "), _("; {without:,} without a label, scored only", without=without))
        if without
        else ("", "")
    )
    counts = _(
        "{training:,} training, {holdout:,} hold-out",
        training=sum(rows.training.values()),
        holdout=sum(rows.holdout.values()),
    )
    head.add_row(_("enterprises"), f"{about}{counts}{scored}")
    head.add_row(_("AUC, KS, Gini, Brier"), "  ".join(number(v) for v in (r.auc, r.ks, r.gini, r.brier)))
    head.add_row(_("standard error of AUC"), number(r.auc_standard_error, 4))


def _pairs(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    return table


OWN_MODELS = {"alone_auc": "alone", "champion_auc": "champion", "personal_auc": "personal"}


def own_models(by_bank: Mapping[str, BankFigures] | None) -> dict[str, str]:
    """Figures of models that banks fit for themselves, by name with their headings: those that any bank has."""
    banks = (by_bank or {}).values()
    return {
        name: heading
        for name, heading in OWN_MODELS.items()
        if name != "champion_auc" or any(getattr(b, name) is not None for b in banks)
    }


def _banks(by_bank: Mapping[str, BankFigures]) -> Table:
    own = own_models(by_bank)
    table = Table(title=_("by bank"), title_justify="left")
    for column in ("bank", "hold-out", "AUC", "KS", "Brier", *own.values()):
        table.add_column(of_kind("heading", column), justify="left" if column == "bank" else "right")
    for name, b in by_bank.items():
        figures = [number(getattr(b, k)) for k in ("auc", "ks", "brier", *own)]
        table.add_row(name, f"{b.holdout:,}", *figures)
    return table


def grouped(spends: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Spends with all steps of a training as one line: prices add up as squares.

    >>> step = {"institution": "a", "population": "training", "research": False, "mu": 3.0}
    >>> [s["release"] for s in grouped([{**step, "release": "step_0"}, {**step, "release": "step_1"}])]
    ['training, 2 steps']
    """
    out: list[dict[str, Any]] = []
    steps: dict[str, list[dict[str, Any]]] = {}
    for spend in spends:
        if not spend["release"].startswith(STEP):
            out.append(dict(spend))
            continue
        if spend["institution"] not in steps:
            out.append(dict(spend))
        steps.setdefault(spend["institution"], []).append(dict(spend))
    for place, spend in enumerate(out):
        if spend["release"].startswith(STEP):
            own = steps[spend["institution"]]
            prices = [float(s["mu"]) if s["mu"] is not None else math.inf for s in own]
            out[place] = {
                **spend,
                "release": _("training, {own} steps", own=len(own)),
                "mu": math.hypot(*prices),
            }
    return out


def by_price(spends: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Spends of one release at one price as one line, with all institutions that are charged it.

    >>> edges = {"release": "edges", "population": "training", "research": False, "mu": 0.1}
    >>> [s["institution"] for s in by_price([{**edges, "institution": "a"}, {**edges, "institution": "b"}])]
    ['a, b']
    """
    lines: dict[tuple[Any, ...], dict[str, Any]] = {}
    for spend in grouped(spends):
        key = tuple(spend[k] for k in ("release", "population", "research", "mu"))
        if key in lines:
            lines[key]["institution"] += f", {spend['institution']}"
        else:
            lines[key] = dict(spend)
    return list(lines.values())


def _baselines(results: Results) -> RenderableType:
    title = _("baselines on the same rows, at the same epsilon")
    table = Table(title=title, title_justify="left")
    for column in ("model", "AUC", "+-", "KS", "Brier", "exchanges"):
        table.add_column(of_kind("heading", column), justify="left" if column == "model" else "right")
    for row in baseline_rows(results):
        table.add_row(*row)
    return table


def baseline_rows(r: Results) -> list[tuple[str, ...]]:
    """Model, AUC, its error, KS, Brier score, exchanges: of this study first, then of its baselines."""
    name = word("recipe", r.recipe)
    kind = name if r.training is None else f"{name} ({r.training.kind})"
    rows: list[tuple[str, ...]] = []
    this = Baseline(
        model=_("this {kind}", kind=kind),
        auc=r.auc,
        auc_standard_error=r.auc_standard_error,
        ks=r.ks,
        brier=r.brier,
        exchanges=r.exchanges,
    )
    for b in (this, *r.baselines):
        if b.failed:
            rows.append((f"{b.model}: {b.failed}", *("–",) * 5))
            continue
        figures = (number(v) for v in (b.auc, b.auc_standard_error, b.ks, b.brier))
        rows.append(
            (
                b.model if b.same_rows else _("{model} (on other rows)", model=b.model),
                *figures,
                str(b.exchanges),
            )
        )
    return rows


def _section(section: Section) -> RenderableType:
    title = word("section", section.code)
    if not section.columns:
        table = _pairs(title.lower())
    else:
        table = Table(title=title.lower(), title_justify="left")
        for k, column in enumerate(section.columns):
            table.add_column(word("column", column), justify="left" if k == 0 else "right", overflow="fold")
    for row in section.rows[:MOST_ROWS]:
        table.add_row(*(cell(value) for value in row))
    return table


def _points(card: Scorecard) -> RenderableType:
    """Points of the features that weigh most, each with its standard error."""
    table = Table(title=word("section", "points").lower(), title_justify="left")
    table.add_column(word("column", "feature"))
    table.add_column(word("column", "points"))
    for j in card.by_spread()[:MOST_ROWS]:
        table.add_row(feature_words(card.bins[j]), _points_of(card, j))
    return table


def _points_of(card: Scorecard, feature: int) -> str:
    """Points of a feature's bins; the cells of a pair are too many, and are in the card's file and on the page."""
    points = card.points[feature]
    if card.bins[feature].feature.kind == "pair":
        return sentence(
            Finding("pair_points", {"cells": len(points), "low": min(points), "high": max(points)})
        )
    errors = card.errors_of(feature) or ()
    return ", ".join(points_words(p, e).replace(" ± ", "±") for p, e in zip(points, errors, strict=True))


def privacy_words(r: Results) -> str:
    """The guarantee in one line; a research run says that it has none."""
    by = r.epsilon_by_relation
    if r.research or by is None or r.epsilon is None or r.mu is None:
        return _("none (research run)")
    # Of a record that is counted any value may be another: that is no less than another record.
    values = (
        _("other values")
        if figures_of(r) is not None
        else _("label flipped {label_flipped:.2f}, replaced", label_flipped=by.label_flipped)
    )
    return _(
        "epsilon {epsilon:g} at delta {delta:g} per enterprise and institution (mu {mu:.3f}; {values} {replaced:.2f})",
        epsilon=r.epsilon,
        delta=r.delta,
        mu=r.mu,
        values=values,
        replaced=by.replaced,
    )


def _spends(results: Results) -> RenderableType:
    table = Table(title=_("what the releases cost each institution (mu)"), title_justify="left")
    for column in ("release", "of", "mu", "charged to each of"):
        table.add_column(
            of_kind("heading", column), justify="right" if column == "mu" else "left", overflow="fold"
        )
    for s in by_price(results.spends):
        price = _("no privacy") if s["research"] else f"{s['mu']:.4f}"
        table.add_row(word("release", s["release"]), word("split", s["population"]), price, s["institution"])
    return table


def price_words(line: DisclosureLine) -> str:
    """The price of what was seen."""
    return "–" if line.mu == 0 else (_("no privacy") if line.mu is None else f"{line.mu:.4f}")


def _disclosures(results: Results) -> RenderableType:
    """Who saw what, from the audit trails of the run."""
    table = Table(
        title=_("who saw what, from the audit trails"), title_justify="left", box=None, pad_edge=False
    )
    for column in ("from", "to", "what", "mu", "kB"):
        table.add_column(
            of_kind("heading", column), justify="right" if column in ("mu", "kB") else "left", overflow="fold"
        )
    for d in results.disclosures:
        what = word("kind", d.kind)
        other = _("hub") if d.counterparty == "hub" else d.counterparty
        table.add_row(d.institution, other, what, price_words(d), f"{d.bytes / 1000:,.0f}")
    return Group(table, _compared(results))


def _compared(results: Results) -> Text:
    found = [sentence(f) for f in results.disagreements]
    words = "; ".join(found) if found else _("what each says it sent, the other says it received")
    if results.not_compared:
        words += _(
            "; without {not_compared}, of which there is no table",
            not_compared=listed(results.not_compared),
        )
    return Text(_("trails compared: {words}", words=words), style="bold red" if found else "dim")
