"""The report that a bank makes of a study for itself: is the consortium's model better than its own, and for what.

Exact figures of the bank's own customers, with intervals; beside them what the study released to its members,
with noise. It is made at the bank from the bank's own store, is written for its owner alone, and says so.
"""

from typing import Any

from pydantic import TypeAdapter

from fedrisk.analysis import curves
from fedrisk.analysis.curves import Estimate
from fedrisk.analysis.own_figures import OwnFigures, own_figures
from fedrisk.analysis.score_counts import counts_of
from fedrisk.analysis.swap_sets import APPROVED
from fedrisk.errors import ConfigError
from fedrisk.findings import Finding
from fedrisk.language import _, of_kind
from fedrisk.models.own_rows import OwnRows
from fedrisk.releases.record import ReleaseRecord
from fedrisk.report import bank_columns, bank_curves, bank_scores
from fedrisk.report.bank_words import Table, from_to, share, signed_share
from fedrisk.report.curve_figures import said as said_figure
from fedrisk.report.page import render_page
from fedrisk.report.text import number, own_sentences, signed
from fedrisk.report.warning_words import missing_line, own_rows, warning_rows
from fedrisk.report.words import sentence, word

APPROVE = 0.8
"""Share of customers approved at which the page says first what a model would change."""

FEW, SOME = 30, 100
"""Defaults of a hold-out below which nothing, and below which little, should be concluded."""


def bank_figures(rows: OwnRows, model: str | None = None, approve: float = APPROVE) -> OwnFigures:
    """The figures of the page. model, approve: as in `bank_page`; errors likewise."""
    if not 0 < approve <= 1:
        raise ConfigError(
            f"--approve is {approve}; give a share of customers above 0 and at most 1, such as 0.8"
        )
    return own_figures(rows, model, tuple(sorted({*APPROVED, approve})))


def bank_page(
    rows: OwnRows,
    model: str | None = None,
    *,
    approve: float = APPROVE,
    record: ReleaseRecord | None = None,
    figures: OwnFigures | None = None,
    no_warning: tuple[str, float] | None = None,
) -> str:
    """The page, in the language that is spoken.

    Args:
        rows: from the bank's store (clients/own_rows).
        model: whose figures are in the foreground; the one that the verdict says to use by default.
        approve: share of customers approved at which the page says first what the model would change.
        record: the study's release record, where the operator handed it over.
        figures: where they were worked out already.
        no_warning: why there is no threshold of warnings though the study asks for one (clients/warning_state).

    Errors: ConfigError for a model that is not there, a share outside (0, 1], or a record of another attempt.
    """
    found = figures or bank_figures(rows, model, approve)
    if record is not None and record.attempt != rows.attempt:
        raise ConfigError(
            f"the record is of attempt {record.attempt}, these scores are of {rows.attempt}; name the results of that "
            "run"
        )
    return render_page(
        "bank.html.jinja",
        rows=rows,
        notice=rows.research,
        chosen=word("model", found.chosen),
        answer=_answer(rows, found, approve),
        verdict=[] if rows.verdict is None else own_sentences(rows.verdict)[1:],
        tiles=_tiles(found, approve),
        models=_models(rows, found, record),
        absent=[(word("model", name), why.get("reason", "")) for name, why in rows.absent.items()],
        swaps=_swaps(found),
        curves=bank_curves.plots(found),
        calibration=bank_curves.calibrations(found),
        cutoffs=bank_scores.cutoffs(found),
        breakeven=bank_scores.breakeven(found),
        no_warning="" if no_warning is None else missing_line(*no_warning),
        warning=[] if rows.warning is None else [*warning_rows(rows.warning), *own_rows(rows)],
        parts_view=bank_scores.parts(found),
        values=bank_columns.values(rows, found),
        points=bank_columns.points(rows),
        reasons=bank_columns.reasons(rows),
        stability=bank_columns.stability(rows, found),
        limits=_limits(rows, found),
    )


def _answer(rows: OwnRows, found: OwnFigures, approve: float) -> list[str]:
    """What the page says first: the verdict, and what the model would change."""
    counts = {"defaults": found.defaults, "others": found.others}
    if rows.verdict is None and not found.models:
        if not found.defaults + found.others:
            return [_("No customer of the hold-out has a label, so no model is compared. Scores are there.")]
        return [
            _(
                "The hold-out has {defaults:,} defaults and {others:,} others: too few to compare models.",
                **counts,
            )
        ]
    said: list[str] = []
    if rows.verdict is not None:
        use, *_others = own_sentences(rows.verdict)
        said = [use, *_ranks(rows, found), *_change(found, approve)]
    else:
        said = [
            _("{model} has an AUC of {auc} on the bank's own hold-out.", model=_name(found), auc=_auc(found)),
            *(_change(found, approve)),
        ]
    return said


def _ranks(rows: OwnRows, found: OwnFigures) -> list[str]:
    """How much better the chosen model ranks than the bank's own, as the verdict says."""
    findings = TypeAdapter(list[Finding]).validate_python((rows.verdict or {}).get("findings", []))
    texts = [sentence(f) for f in findings if f.values.get("model") == found.chosen]
    return [text[:1].upper() + text[1:] for text in texts]


def _name(found: OwnFigures) -> str:
    name = word("model", found.chosen)
    return name[:1].upper() + name[1:]


def _auc(found: OwnFigures) -> str:
    one = found.model(found.chosen)
    return "–" if one is None else said_figure(one.roc.auc)


def _change(found: OwnFigures, approve: float) -> list[str]:
    """What the chosen model in place of the bank's own changes at one share approved, in two sentences."""
    swap = next((s for s in found.swaps if abs(s.approved - approve) < 1e-9), None)
    if swap is None:
        return []
    fewer = _(
        "{model} in place of the bank's own, approving the same {share} of customers: {new:,.0f} defaults among them "
        "in place of {old:,.0f}, {change} (95% interval {low} to {high}).",
        model=_name(found),
        share=share(approve, 0),
        new=swap.new_defaults,
        old=swap.defaults,
        change=signed_share(-swap.fewer_share.value),
        low=signed_share(-swap.fewer_share.high),
        high=signed_share(-swap.fewer_share.low),
    )
    more = _(
        "At the same default rate of those approved ({rate}) it could approve {change} of all customers "
        "(95% interval {low} to {high}).",
        rate=share(swap.default_rate),
        change=signed_share(swap.more.value),
        low=signed_share(swap.more.low),
        high=signed_share(swap.more.high),
    )
    if swap.fewer.low <= 0 <= swap.fewer.high:
        fewer += " " + _("The interval holds 0: no difference is shown.")
    return [fewer, more]


def _tiles(found: OwnFigures, approve: float) -> list[tuple[str, str, str]]:
    """Main figures: value, what it is, its interval."""
    out = []
    for name in dict.fromkeys((found.chosen, *([found.own] if found.own else []))):
        if (one := found.model(name)) is not None:
            label = of_kind("bank", "AUC: {model}", model=word("model", name))
            out.append((number(one.roc.auc.value), label, from_to(one.roc.auc, 3)))
    swap = next((s for s in found.swaps if abs(s.approved - approve) < 1e-9), None)
    if swap is not None:
        out.append(
            (
                signed_share(-swap.fewer_share.value),
                _("defaults at {share} approved", share=share(approve, 0)),
                _turned(swap.fewer_share),
            )
        )
        out.append(
            (
                signed_share(swap.more.value),
                _("of customers more, at {rate} default rate", rate=share(swap.default_rate)),
                of_kind(
                    "bank",
                    "{low} to {high}",
                    low=signed_share(swap.more.low),
                    high=signed_share(swap.more.high),
                ),
            )
        )
    held = found.defaults + found.others
    out.append(
        (f"{found.defaults:,}", _("defaults in the hold-out"), _("of {count:,} customers", count=held))
    )
    return out


def _models(rows: OwnRows, found: OwnFigures, record: ReleaseRecord | None) -> Table | None:
    """Models beside each other on the hold-out, and last all banks together, where a record is at hand."""
    if not found.models:
        return None
    against = (rows.verdict or {}).get("against_own", {})
    body = []
    for m in found.models:
        less = against.get(m.name, {}).get("auc")
        beside = "" if less is None else f"{signed(less['value'])} ({_low_high(less)})"
        figures = (said_figure(m.roc.auc), said_figure(m.ks.value))
        body.append(
            [word("model", m.name), *figures, number(2 * m.roc.auc.value - 1), number(m.brier, 4), beside]
        )
    if record is not None and (released := counts_of(record, rows.card)) is not None:
        roc, ks = curves.roc(released), curves.ks(released)
        if roc is not None and ks is not None:
            name = _("all banks together, as released with noise")
            body.append(
                [name, said_figure(roc.auc), said_figure(ks.value), number(2 * roc.auc.value - 1), "", ""]
            )
    names = (
        _("AUC (95% interval)"),
        _("KS (95% interval)"),
        of_kind("bank", "Gini"),
        of_kind("bank", "Brier score"),
    )
    columns: list[Any] = [
        of_kind("bank", "model"),
        *((n, "n") for n in (*names, _("AUC less own (90% interval)"))),
    ]
    return Table(_("Models on the bank's own hold-out"), columns, body)


def _low_high(less: Any) -> str:
    return of_kind("bank", "{low} to {high}", low=signed(less["low"]), high=signed(less["high"]))


def _swaps(found: OwnFigures) -> list[Table]:
    """What changes at the same share approved, and at the same default rate; nothing without a model of the bank."""
    if not found.swaps:
        return []
    fewer, more = [], []
    for s in found.swaps:
        change = f"{signed_share(-s.fewer_share.value)} ({_turned(s.fewer_share)})"
        counts = (f"{s.defaults:,.0f}", f"{s.new_defaults:,.0f}")
        groups = [share(v) if v is not None else "–" for v in (s.swapped_in, s.swapped_out)]
        fewer.append([share(s.approved, 0), *counts, change, share(s.swapped), *groups])
        wide = of_kind(
            "bank", "{low} to {high}", low=signed_share(s.more.low), high=signed_share(s.more.high)
        )
        shown = (share(s.default_rate), f"{signed_share(s.more.value)} ({wide})")
        more.append([share(s.approved, 0), *shown])
    first = of_kind("bank", "approved")
    names = [
        _("defaults, own model"),
        _("defaults, this one"),
        _("change (95% interval)"),
        of_kind("bank", "swapped"),
    ]
    names += [_("default rate of those let in"), _("of those left out")]
    other = [_("default rate, own model"), _("approved more, of all customers (95% interval)")]
    return [
        Table(_("At the same share approved"), [first, *((n, "n") for n in names)], fewer),
        Table(_("At the same default rate of those approved"), [first, *((n, "n") for n in other)], more),
    ]


def _turned(value: Estimate) -> str:
    """The interval of a share of defaults less, as a change of defaults."""
    return of_kind("bank", "{low} to {high}", low=signed_share(-value.high), high=signed_share(-value.low))


def _limits(rows: OwnRows, found: OwnFigures) -> list[str]:
    """What not to conclude."""
    out = []
    if found.defaults < FEW:
        out.append(
            _(
                "The hold-out has {count:,} defaults. Below 30 nothing should be concluded.",
                count=found.defaults,
            )
        )
    elif found.defaults < SOME:
        out.append(
            _(
                "The hold-out has {count:,} defaults. Below 100 single bins and cut-offs say little; see intervals.",
                count=found.defaults,
            )
        )
    out += [
        _(
            "Intervals hold what other customers of the same kind would have shown. They do not hold that times or "
            "customers change."
        ),
        _("The hold-out has customers of {day} and later; the training has earlier ones.", day=rows.held_from)
        if rows.held_from
        else _(
            "The hold-out was drawn by lot from the same time as the training: how the model does later it does not "
            "say. A study can hold out by date (holdout.from_date)."
        ),
        _(
            "Labels exist for approved borrowers only. How those refused would have done nobody knows, so a cut-off "
            "that lets in customers of a kind that was always refused goes beyond these figures."
        ),
        _(
            "Many cuts and columns are shown. The one that looks best looks better than it is: choose by a rule that "
            "was fixed before."
        ),
    ]
    if found.own is not None:
        out.append(
            _(
                "The bank's own model of these tables is one that fedrisk fits on the bank's columns. The model that "
                "the bank uses today may be better or worse; compare that on the same customers."
            )
        )
    if rows.score is None:
        out.append(
            _("This model gives probabilities alone: there are no points, reasons or information values.")
        )
    return out
