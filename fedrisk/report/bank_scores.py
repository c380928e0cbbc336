"""Cut-offs of a bank's report, by share approved and by what a default costs, and the two parts of its score."""

from dataclasses import dataclass
from itertools import pairwise

from fedrisk.analysis.own_figures import OwnFigures
from fedrisk.analysis.own_parts import Parts
from fedrisk.language import _, of_kind
from fedrisk.report import plots as draw
from fedrisk.report.bank_words import Table, from_to, share, with_interval
from fedrisk.report.figure_style import Plot
from fedrisk.report.text import number
from fedrisk.report.words import word


@dataclass(frozen=True)
class Cutoffs:
    """Table and picture of cut-offs."""

    table: Table
    plot: Plot


@dataclass(frozen=True)
class PartsView:
    """The two parts of the score: what they are worth alone, and the default rates by thirds of both."""

    lead: str
    table: Table


def cutoffs(found: OwnFigures) -> Cutoffs | None:
    """Cut-offs of the chosen model; None where the hold-out has too few labels."""
    if not found.cutoffs:
        return None
    by_score = found.distribution is not None and found.distribution.axis == "score"
    body = []
    for c in found.cutoffs:
        cut = f"{c.cut:.0f}" if by_score else share(c.cut)
        figures = (c.approved, c.bad_approved, c.bad_refused, c.kept_out)
        body.append([cut, *map(with_interval, figures)])
    first = _("score from") if by_score else _("probability up to")
    names = (
        of_kind("bank", "approved"),
        _("default rate of those"),
        _("default rate of the others"),
        _("defaults kept out"),
    )
    columns = [first, *((n, "n") for n in names)]
    table = Table(_("Cut-offs: {model}", model=word("model", found.chosen)), columns, body)
    return Cutoffs(table, draw.cutoffs(found.cutoffs))


def breakeven(found: OwnFigures) -> Table | None:
    """Cut-offs by how many good loans earn what one default costs; None where there are too few labels."""
    if not found.breakeven:
        return None
    scored = any(b.score is not None for b in found.breakeven)
    body = []
    for b in found.breakeven:
        cut = [str(b.score) if b.score is not None else "–"] if scored else []
        body.append(
            [str(b.loans), share(b.most), *cut, with_interval(b.approved), with_interval(b.bad_approved)]
        )
    names = [
        _("probability up to"),
        *([_("score from")] if scored else []),
        of_kind("bank", "approved"),
        _("default rate of those"),
    ]
    columns = [_("good loans that pay for one default"), *((n, "n") for n in names)]
    return Table(_("Cut-offs by what a default costs"), columns, body)


def parts(found: OwnFigures) -> PartsView | None:
    """Own and external points beside each other; None where the score has no two parts."""
    p = found.parts
    if p is None:
        return None
    lead = _(
        "Own points alone rank with an AUC of {own} ({own_interval}), the data holders' with {external} "
        "({external_interval}), both together with {both} ({both_interval}). Correlation of the two: {correlation}.",
        own=number(p.own.value),
        own_interval=from_to(p.own, 3),
        external=number(p.external.value),
        external_interval=from_to(p.external, 3),
        both=number(p.both.value),
        both_interval=from_to(p.both, 3),
        correlation=f"{p.correlation:.2f}".replace("-", "−"),
    )
    return PartsView(lead, _thirds(p))


def _thirds(p: Parts) -> Table:
    across = _groups(p.external_edges)
    body = [
        [label, *(f"{with_interval(c.rate)}, n={c.customers:,}" for c in row)]
        for label, row in zip(_groups(p.own_edges), p.cells, strict=True)
    ]
    columns = [_("own points"), *((_("holders' points {group}", group=g), "n") for g in across)]
    return Table(_("Default rate by own points and by the data holders' points"), columns, body)


def _groups(edges: tuple[float, ...]) -> list[str]:
    """Groups between edges, in words; a value equal to an edge is in the upper group."""
    e = [f"{v:.0f}".replace("-", "−") for v in edges]
    if not e:
        return [of_kind("bank", "all")]
    middle = [_("{low} to below {high}", low=a, high=b) for a, b in pairwise(e)]
    return [of_kind("bank", "below {edge}", edge=e[0]), *middle, of_kind("bank", "from {edge}", edge=e[-1])]
