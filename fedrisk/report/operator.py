"""The operator's report of a study: whether it worked, who took part, what it gained and cost, and how it went.

It stands on the hub's results alone: released numbers, public facts, and what each institution said of its budget to
the study. Statistics studies have a page of their own (statistics_view.py).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from fedrisk.analysis import curves
from fedrisk.analysis.score_counts import counts_of
from fedrisk.findings import Finding
from fedrisk.language import _, language, listed
from fedrisk.report import card_view, plots
from fedrisk.report.display import for_people
from fedrisk.report.label_words import about_its_label
from fedrisk.report.page import render_page
from fedrisk.report.plain_privacy import guess_words, mu_words, price_of
from fedrisk.report.quality import quality_of
from fedrisk.report.scale import scale_findings, score_rows, unknown_rows
from fedrisk.report.text import (
    baseline_rows,
    by_price,
    is_curved,
    number,
    own_models,
    price_words,
    privacy_words,
    score_cells,
    score_columns,
    signed,
    unknown_cells,
)
from fedrisk.report.warning_words import other_rows, warning_rows
from fedrisk.report.words import sentence, word
from fedrisk.server.results import DisclosureLine, Results
from fedrisk.study import DEFAULT_LABEL

VERDICTS = {"card_worthless": "alarm", "card_doubtful": "doubt"}


@about_its_label
def operator_page(results: Results, begun: str | None = None) -> str:
    """The page. begun: when the run began, ISO 8601, where it is known."""
    quality = quality_of(results)
    names = {shown: name for name, shown in results.display_names.items()}
    results = for_people(results)
    card = results.card
    return render_page(
        "operator.html.jinja",
        filters={"number": number, "price": price_words, "mu": mu_words},
        m=results,
        begun=None if begun is None else begun[:10],
        notice=results.research,
        kinds=VERDICTS,
        own_names=names,
        quality=quality,
        why_no_figures=None if quality.shown else why_not_evaluated(results),
        gain=gain_tile(results),
        guess=None if results.research or results.mu is None else guess_words(results.mu),
        privacy=privacy_words(results),
        budgets=budgets(results),
        health=health(results),
        lost={} if results.training is None else results.training.lost,
        card=card,
        features=[] if card is None else card_view.features(results, card),
        plots=[] if card is None else card_view.plots(results, card),
        worth=card_view.worth(results),
        scale=scale_findings(results),
        scores=None
        if card is None
        else (score_columns(is_curved(card)), [score_cells(r, is_curved(card)) for r in score_rows(card)]),
        unknown=[] if card is None else [unknown_cells(row) for row in unknown_rows(card)],
        sections=[
            (s, card_view.line_of(s)) for s in results.sections if card is None or s.code != "features"
        ],
        baselines=baseline_rows(results) if results.baselines else [],
        own_models=own_models(results.by_bank),
        spends=[{**s, "mu": price_of(s["mu"])} for s in by_price(results.spends)],
        seen=seen(results),
        selection=selection(results),
        seasons=seasons(results),
        **warnings_view(results),
    )


def warnings_view(results: Results) -> dict[str, Any]:
    """Of a study with a threshold of warnings: its rows, other rates, a plot of both, and what the outcome is."""
    point = results.warning
    if point is None:
        return {"warning": []}
    counts = None if results.record is None else counts_of(results.record, results.card)
    curve = None if counts is None else curves.roc(counts)
    return {
        "warning": warning_rows(point, counts),
        "other_rates": other_rows(counts, point.stated),
        "warning_plot": None if curve is None else plots.warnings(curve, point),
    }


def why_not_evaluated(results: Results) -> str:
    """Why a page has no figures of quality."""
    if not results.evaluated:
        return _(
            "An encoder is trained without labels; what its columns are worth shows in the studies that use them."
        )
    if any(f.code == "went_without_evaluation" for f in results.findings):
        return _("This study asked for no evaluation, so that nothing was spent on it.")
    return _("No evaluation figures: a bank's policy does not let them out.")


def gain_tile(results: Results) -> tuple[str, str, str] | None:
    """Value, label and note of what the card gains over banks alone: measured in research runs, else as expected.

    Outside research runs a bank's own model stays at the bank: each sees in its own report what it gained.
    """
    if results.auc is not None and results.bank_alone_auc is not None:
        return (
            signed(results.auc - results.bank_alone_auc),
            _("AUC gained over a bank alone, measured"),
            _("a bank's own model has {auc} on average", auc=number(results.bank_alone_auc)),
        )
    found = results.expectation
    if found is None or found.code != "gain_between":
        return None
    v: Mapping[str, Any] = found.values
    note = _(
        "{lower} to {upper} in half of all such studies; each bank measures its own",
        lower=signed(v["lower"], 2),
        upper=signed(v["upper"], 2),
    )
    return signed(v["middle"], 2), _("AUC gained over a bank alone, expected"), note


def budgets(results: Results) -> list[dict[str, Any]]:
    """By institution: price of this study in mu, epsilon left before and after, and the part that is left of it."""
    rows = []
    for name, facts in results.institutions.items():
        mu = charged(s for s in results.spends if s["institution"] == name)
        left = facts.budget_left or {}
        after = left.get("after", left.get("epsilon"))
        before = left.get("before")
        share = None if after is None or not before else after / before
        rows.append({"name": name, "mu": mu, "before": before, "after": after, "share": share})
    return rows


def charged(spends: Iterable[Mapping[str, Any]]) -> float:
    """What releases of one study cost together, in mu: an enterprise is in training or in the hold-out, never in both.

    >>> charged([{"population": "training", "mu": 3.0}, {"population": "training", "mu": 4.0}])
    5.0
    >>> charged([{"population": "training", "mu": 3.0}, {"population": "holdout", "mu": 4.0}])
    4.0
    """
    sides = {"training": 0.0, "holdout": 0.0}
    for spend in spends:
        population = spend["population"]
        for side in sides if population == "all" else (population,):
            sides[side] = sides.get(side, 0.0) + price_of(spend["mu"]) ** 2
    return math.sqrt(max(sides.values()))


def health(results: Results) -> list[tuple[str, str]]:
    """How the exchanges went: what, and its figure."""
    sent, received = (sum(v.values()) / 1e6 for v in (results.bytes_sent, results.bytes_received))
    rows = [
        (_("exchanges"), f"{results.exchanges:,}"),
        (_("time"), _("{seconds} s", seconds=f"{results.seconds:,.0f}")),
        (_("engine"), word("engine", results.engine)),
        (_("sent to the hub"), f"{sent:,.1f} MB"),
        (_("received from the hub"), f"{received:,.1f} MB"),
        (_("most memory at the hub"), f"{results.peak_mb:,.0f} MB"),
    ]
    if results.left_out:
        rows.append((_("left out: they refused, or were not there"), listed(results.left_out)))
    if results.training is not None:
        lost = listed(_("{name} from step {step}", name=n, step=s) for n, s in results.training.lost.items())
        rows.append((_("lost during training"), lost or _("nobody")))
    if not results.tables and not results.disclosures:
        told = _("not there")
    elif results.disagreements:
        told = _("they disagree: {what}", what="; ".join(sentence(f) for f in results.disagreements))
    else:
        told = _("they agree")
    rows.append((_("audit trails of sender and receiver"), told))
    if results.not_compared:
        rows.append((_("not compared, as there is no table"), listed(results.not_compared)))
    return rows


def seen(results: Results) -> list[tuple[str, list[tuple[str, list[DisclosureLine]]]]]:
    """Who sent what to whom: by sender, then by receiver."""
    table: dict[str, dict[str, list[DisclosureLine]]] = {}
    for line in results.disclosures:
        other = _("hub") if line.counterparty == "hub" else line.counterparty
        table.setdefault(line.institution, {}).setdefault(other, []).append(line)
    return [(sender, list(to.items())) for sender, to in table.items()]


def selection(results: Results) -> list[tuple[str, dict[str, Any]]]:
    """What default means, and who has a label: banks that say the same together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, facts in results.institutions.items():
        if facts.label:
            said = (facts.label["horizon"], facts.label["selection"], *label_words(facts.label))
            found.setdefault(said, []).append(name)
    keys = ("horizon", "selection", "label", "meaning")
    return [(listed(names), dict(zip(keys, said, strict=True))) for said, names in found.items()]


def seasons(results: Results) -> list[str]:
    """Published seasonal indices that institutions state, a line each."""
    return [
        f"{name}: {sentence(Finding('season_stated', one))}"
        for name, facts in results.institutions.items()
        for one in facts.seasons
    ]


def label_words(label: Mapping[str, Any]) -> tuple[str, str]:
    """Name and meaning of a label as a bank stated it; both empty for the one called default without a meaning."""
    meaning = (label.get("meaning_zh") if language() == "zh" else None) or label.get("meaning", "")
    name = label.get("name", DEFAULT_LABEL)
    return ("", "") if (name, meaning) == (DEFAULT_LABEL, "") else (name, meaning)
