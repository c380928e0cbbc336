"""The report that a data holder makes of a study for itself: what its columns were worth, what left, what it cost.

It stands on the member's own store (clients/member_study) and on what was released to all members of the study. It has
no bank's figures, and of other members no more than the card and the released sums say.
"""

import math
from collections.abc import Sequence
from typing import Any

from fedrisk.analysis.card_sums import CardSums
from fedrisk.analysis.contribution import Player, Worth, valued
from fedrisk.analysis.feature_figures import InformationValue, column_values, feature_points
from fedrisk.language import _, either, listed
from fedrisk.models.member_study import Budget, MemberStudy, Moved
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.accounting import epsilon_for
from fedrisk.privacy.ledger.plain import epsilon_down, percent_used, studies_left
from fedrisk.report import plots as draw
from fedrisk.report.card_view import bin_bars
from fedrisk.report.curve_figures import said
from fedrisk.report.page import render_page
from fedrisk.report.plain_privacy import guess_words, mu_words
from fedrisk.report.plots import Plot
from fedrisk.report.text import number
from fedrisk.report.words import word
from fedrisk.study_members import BANK

DRAWS = 100
"""Draws of what columns were worth: half a second, and the ends of intervals to about a tenth of their width."""

MEASURE = "deviance"


def holder_page(found: MemberStudy) -> str:
    """The page, in the language that is spoken."""
    worth = _Worth.of(found)
    return render_page(
        "holder.html.jinja",
        filters={"number": number, "mu": mu_words},
        notice=found.research,
        s=found,
        answers=[*worth.answers(found), *_cost_answers(found)],
        tiles=[*worth.tiles(), *_tiles(found)],
        worth=worth,
        left=_summed(found.left),
        came=_summed(found.came),
        epsilon=None if found.research else _epsilon(found),
        guess=None if found.research else guess_words(found.mu),
        priced=[m for m in found.left if m.mu],
        used=percent_used(found.budget.spent, found.budget.cap),
        budget=_budget_rows(found.budget),
        projection=_projection(found),
        state=_states(found),
        rules=_rules(found),
    )


class _Worth:
    """What the columns were worth, from released numbers; empty of a study without a card."""

    def __init__(
        self, values: list[InformationValue], players: dict[str, Player], whole: Worth | None
    ) -> None:
        self.values, self.players, self.whole = values, players, whole
        self.rows: list[tuple[str, ...]] = []
        self.parties: list[tuple[str, ...]] = []
        self.plot: Plot | None = None
        self.bars: list[tuple[str, str, list[Any]]] = []
        self.own: Worth | None = None

    @classmethod
    def of(cls, found: MemberStudy) -> "_Worth":
        past = found.released
        if past is None:
            made = cls([], {}, None)
        else:
            sums = CardSums(bins=past.bins, counts=past.counts, bases=past.bases, second=past.second)
            every = valued(sums, draws=DRAWS)
            own = {
                p.column or "": p
                for p in (*every.institutions, *every.columns)
                if p.institution == found.role
            }
            values = [v for v in column_values(sums) if v.institution == found.role]
            made = cls(values, own, every.whole[MEASURE])
            if own:
                made.own = own[""].worth[MEASURE]
            made.parties = _parties(found, every.institutions)
        if found.card is not None:
            made._fill(found, found.card)
        return made

    def _fill(self, found: MemberStudy, card: Scorecard) -> None:
        """Table, plot and bars of own columns."""
        value = {v.column: v.value for v in self.values}
        points = feature_points(card)
        own = [j for j in card.by_spread() if card.bins[j].feature.institution == found.role]
        for j in own:
            feature = card.bins[j].feature
            if not feature.is_column:
                continue
            player = self.players.get(feature.column)
            band = points[j].points.value
            self.rows.append(
                (
                    feature.column,
                    found.meanings.get(feature.column, ""),
                    said(value[feature.column], 2) if feature.column in value else "–",
                    f"{band.min():.0f} … {band.max():.0f}",
                    _share_words(None if player is None else player.worth[MEASURE]),
                )
            )
            self.bars.append((feature.column, found.meanings.get(feature.column, ""), bin_bars(card, j)))
        if self.values:
            self.plot = draw.information_values(self.values)

    def answers(self, found: MemberStudy) -> list[str]:
        if self.own is None:
            return (
                []
                if found.released
                else [_("This study has no scorecard, so that columns have no worth of their own.")]
            )
        if not self.own.says:
            return [
                _(
                    "What the columns of {name} were worth to the card is hidden by noise and chance: at most {high} "
                    "of what it explains.",
                    name=found.institution,
                    high=f"{self.own.share_high:.0%}",
                )
            ]
        return [
            _(
                "The columns of {name} made {share} of what the card explains ({low} to {high}).",
                name=found.institution,
                share=f"{self.own.share:.0%}",
                low=f"{self.own.share_low:.0%}",
                high=f"{self.own.share_high:.0%}",
            )
        ]

    def tiles(self) -> list[tuple[str, str, str]]:
        if self.own is None:
            return []
        value, note = _share_parts(self.own)
        return [(value, _("of what the card explains"), note)]


def _share_parts(worth: Worth) -> tuple[str, str]:
    span = _("{low} to {high}", low=f"{worth.share_low:.0%}", high=f"{worth.share_high:.0%}")
    return (f"{worth.share:.0%}" if worth.says else _("noise")), span


def _share_words(worth: Worth | None) -> str:
    if worth is None:
        return "–"
    value, span = _share_parts(worth)
    return f"{value} ({span})"


def _parties(found: MemberStudy, institutions: Sequence[Player]) -> list[tuple[str, ...]]:
    """Every party's share, banks together, and the spread of its points."""
    spread = {} if found.card is None else found.card.partial_sd
    return [
        (
            _party(found, p.institution),
            _share_words(p.worth[MEASURE]),
            number(spread.get(p.institution), 1),
        )
        for p in sorted(institutions, key=lambda p: -p.worth[MEASURE].value)
    ]


def _party(found: MemberStudy, role: str) -> str:
    if role == found.role:
        return _("{name} (this institution)", name=found.institution)
    return _("all banks together") if role == BANK else role


def _tiles(found: MemberStudy) -> list[tuple[str, str, str]]:
    """Price, budget and use."""
    cost = (
        (_("none"), _("privacy"), _("research run"))
        if found.research
        else (
            f"{_epsilon(found):.2g}",
            _("epsilon of this study"),
            f"mu {mu_words(found.mu, 3)}",
        )
    )
    used = percent_used(found.budget.spent, found.budget.cap)
    scored = sum(found.scored.values())
    return [
        cost,
        (
            f"{100 - used}%",
            _("of the budget left"),
            _("until {day}", day=found.budget.end) if found.budget.end else "",
        ),
        (
            f"{scored:,}",
            _("scores that banks got"),
            either("{count} bank", "{count} banks", len(found.scored)),
        ),
        (f"{sum(m.bytes for m in found.left) / 1e6:,.1f} MB", _("sent"), ""),
    ]


def _delta(found: MemberStudy) -> float:
    return float(found.study.get("privacy", {}).get("delta", 1e-6))


def _epsilon(found: MemberStudy) -> float:
    """What the attempt cost, as epsilon at the study's delta."""
    if math.isinf(found.mu):
        return math.inf
    return epsilon_for(found.mu, _delta(found)) if found.mu else 0.0


def _cost_answers(found: MemberStudy) -> list[str]:
    if found.research:
        return [_("This was a research run: nothing was protected, and nothing was charged.")]
    return [
        _(
            "It cost epsilon {epsilon} at delta {delta}; {percent}% of the budget is left.",
            epsilon=f"{_epsilon(found):.2g}",
            delta=f"{_delta(found):g}",
            percent=100 - percent_used(found.budget.spent, found.budget.cap),
        ),
        _projection(found),
    ]


def _projection(found: MemberStudy) -> str:
    """How many studies like this one still fit."""
    if found.research or not found.mu:
        return ""
    more = studies_left(found.budget.spent, found.budget.cap, found.mu)
    if more is None:
        return _("The budget has no cap: any number of such studies fits.")
    if not more:
        return _("No further study of this price fits before the period ends; a grant would be needed.")
    said_more = either(
        "{count} further study of this price fits", "{count} further studies of this price fit", more
    )
    return said_more + (_(" until {day}.", day=found.budget.end) if found.budget.end else ".")


def _budget_rows(budget: Budget) -> list[tuple[str, str, str]]:
    def row(label: str, mu: float, down: bool = False) -> tuple[str, str, str]:
        if math.isinf(mu):
            return label, _("no limit"), _("no limit")
        epsilon = epsilon_down(mu) if down else (epsilon_for(mu, 1e-6) if mu else 0.0)
        return label, f"{epsilon:.2f}", f"{mu:.4f}"

    return [
        row(_("cap of the period"), budget.cap),
        row(_("spent in the period"), budget.spent),
        row(_("left"), budget.left, down=True),
        row(_("spent for life"), budget.lifetime),
    ]


def _summed(moved: Sequence[Moved]) -> list[tuple[str, str, str, int, str, str]]:
    """Things of one kind, protected alike, as one line with all others who got them, or from whom they came."""
    lines: dict[tuple[str, str], list[Moved]] = {}
    for m in moved:
        lines.setdefault((m.kind, m.protection), []).append(m)
    return [
        (
            word("kind", kind),
            listed(dict.fromkeys(m.other for m in group)),
            word("protection", protection),
            len(group),
            f"{sum(m.bytes for m in group) / 1000:,.0f}",
            mu_words(math.hypot(*(m.mu for m in group))) if any(m.mu for m in group) else "–",
        )
        for (kind, protection), group in lines.items()
    ]


def _states(found: MemberStudy) -> list[tuple[str, str, str, str]]:
    """Models of the study that serve or could: id, state, who may ask, and how much a score tells."""
    words = {
        "candidate": _("waits for an approval"),
        "approved": _("approved"),
        "deployed": _("serves"),
        "retired": _("retired"),
        "refused": _("refused"),
    }
    return [
        (
            f"{m.model[:8]} v{m.version}",
            words.get(m.state, m.state),
            listed(m.banks),
            "–" if m.bits is None else _("at most {bits} bits", bits=f"{m.bits:.1f}"),
        )
        for m in found.models
    ]


def _rules(found: MemberStudy) -> list[str]:
    """The serving rules of this institution's own policy."""
    r = found.rules
    if not r:
        return []
    consent = {
        "token": _("with a token of a pinned register of consents for every enterprise"),
        "reference": _("with a reference to a consent, which is noted and proves nothing"),
        "none": _("without any consent being asked for"),
    }[r["consent"]]
    said_rules = [
        _(
            "A bank gets scores of at most {day:,} enterprises a day, and {each} of one enterprise within 30 days, "
            "{consent}.",
            day=r["per_day"],
            each=r["per_enterprise"],
            consent=consent,
        ),
        either(
            "A bank may have {count} model served at once.",
            "A bank may have {count} models served at once.",
            r["models"],
        ),
    ]
    if r["screening"]:
        said_rules.append(
            _(
                "It may look through lists of up to {screening:,} enterprises a month.",
                screening=r["screening"],
            )
        )
    return said_rules
