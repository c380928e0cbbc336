"""Editing a released card: the new card, its history, and what each edit costs in the released figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.card_cost import CardSpread, ScoreParts, information_value
from fedrisk.analysis.card_sums import curves_of
from fedrisk.analysis.evaluations import evaluation_of
from fedrisk.errors import ConfigError
from fedrisk.models.card_edit import CardEdit
from fedrisk.models.card_pairs import pair_moments
from fedrisk.models.edited_card import EditedCard, EditEntry, card_digest
from fedrisk.models.edited_sums import edited_counts
from fedrisk.models.scorecard import FACTOR, Scorecard
from fedrisk.recipes.scorecard.edited import CardSource, CardState, pairs_left, state_after
from fedrisk.releases.record import ReleaseRecord

Floats = NDArray[np.float64]

KNOWN_COSTS = ("auc", "holdout", "mean_probability", "spread", "features", "information")
"""Figures of an entry that are worked out once more."""

ROUNDED = 2e-3
"""How far they may be from those of another machine, by themselves and in proportion."""

MOST_SHOWN = 12
"""Most bins whose points changed that an entry of the history has."""


def edit_card(
    record: ReleaseRecord,
    edits: Sequence[CardEdit] = (),
    *,
    before: EditedCard | None = None,
    released: Scorecard | None = None,
    now: datetime | None = None,
) -> EditedCard:
    """The card of a record after edits, each an entry of its history with what it costs.

    record: of a finished scorecard study. edits: in order, each on top of those before it; bins are numbered as the
    card has them then. before: a card that was edited already, whose history goes on. released: the card as it was
    released beside the record; it is the very card that has no edits. now: time of the edits, else the clock's.

    Without edits it is the released card, to the last digit. Nothing is released or charged: all of it follows from
    released numbers.

    ConfigError where an edit has no reason or author, names what the card does not have, or changes nothing; where
    ``before`` is of another record, or its history does not fit.
    """
    _check_said(edits)
    source = CardSource.of(record, released)
    card = _start(source, record, before)
    desk = EditDesk(source, record)
    time = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for edit in edits:
        card = _edited(desk, card, edit, time)
    return card


class EditDesk:
    """A record with what editing it needs, worked out once."""

    def __init__(self, source: CardSource, record: ReleaseRecord) -> None:
        self.source, self.record = source, record
        self._states: dict[int, CardState] = {}
        self._for: tuple[CardEdit, ...] = ()

    @cached_property
    def spread(self) -> CardSpread:
        """What the released sums say of scores."""
        return CardSpread(self.source.sums)

    def state(self, edits: Sequence[CardEdit]) -> CardState:
        """The card after these edits; the last ones that were asked for are kept."""
        same = 0
        while same < min(len(edits), len(self._for)) and edits[same] == self._for[same]:
            same += 1
        self._states = {k: s for k, s in self._states.items() if k <= same}
        self._for = tuple(edits)
        if len(edits) not in self._states:
            self._states[len(edits)] = state_after(self.source, edits)
        return self._states[len(edits)]

    def costs(self, one: CardState, other: CardState) -> dict[str, Any]:
        """Plain figures of what lies between two cards; see docs/card-edit.md."""
        auc = self.spread.change(self.parts(one), self.parts(other))
        evaluated = evaluation_of(self.record)
        return {
            "auc": vars(auc),
            "holdout": None if evaluated is None else {"auc": evaluated.auc, "error": evaluated.error},
            "mean_probability": [one.card.mean_probability(), other.card.mean_probability()],
            "spread": [s.card.sd / s.card.scale.factor for s in (one, other)],
            "features": [len(s.card.bins) for s in (one, other)],
            "information": self._information(one, other),
            "points": self._points(one, other),
        }

    def parts(self, state: CardState) -> ScoreParts:
        """A card's score on the bins of the released one."""
        out = [np.zeros(b.size) for b in self.source.sums.bins]
        for k, (_, origin) in enumerate(state.features):
            out[origin.place] = -np.asarray(state.first.points[k], float)[origin.codes] / FACTOR
        left = pairs_left(self.source, state.features, state.dropped)
        found = [pair_moments(self.source.designs[role], pairs) for role, pairs in left.items() if pairs]
        return ScoreParts(
            contributions=out, variance=sum(v for v, _ in found), gap=sum(gap for _, gap in found)
        )

    def _information(self, one: CardState, other: CardState) -> dict[str, list[float | None]]:
        """Information value before and after, of features whose bins or shape are other ones, or that are gone."""
        before, after = (self._values(state) for state in (one, other))
        bins = [{b.feature.name: b for b, _ in s.features} for s in (one, other)]
        changed = [name for name, b in bins[0].items() if bins[1].get(name) != b]
        found: dict[str, list[float | None]] = {}
        for name in changed:
            found[name] = [before[name], after.get(name)]
        return found

    def _values(self, state: CardState) -> dict[str, float]:
        bins = [b for b, _ in state.features]
        released = [b for b in self.source.sums.bins if b.feature.is_column]
        place = {b.feature.name: k for k, b in enumerate(released)}
        columns = [
            (b, replace(o, place=place[b.feature.name])) for b, o in state.features if b.feature.is_column
        ]
        curves = curves_of(edited_counts(self.source.sums.counts, columns), bins, self.source.sums.prior)
        return {b.feature.name: information_value(curves, j) for j, b in enumerate(bins)}

    def _points(self, one: CardState, other: CardState) -> list[dict[str, Any]]:
        """Bins of the released card whose points moved most, on the standard scale; less than a point is rounding."""
        moved = []
        for j, b in enumerate(self.source.sums.bins):
            then, now = (_points_on(state, j) for state in (one, other))
            if then is None:
                continue
            after: Sequence[float | None] = [None] * len(then) if now is None else now
            for label, p, q in zip(b.labels(), then, after, strict=True):
                size = abs(p - (q or 0.0))
                if size > 1:
                    moved.append((size, {"feature": b.feature.name, "bin": label, "before": p, "after": q}))
        moved.sort(key=lambda m: -m[0])
        return [m for _, m in moved[:MOST_SHOWN]]


def verify_card(card: EditedCard, record: ReleaseRecord | None = None) -> list[str]:
    """What does not fit of an edited card, in words; empty where all does.

    Digests of the history first; with a record also whether the very edits lead from it to this card, and cost what the
    history says, within rounding.
    """
    out = card.broken()
    if record is None or out:
        return out
    if card.history and card.history[0].record != record.digest():
        return ["the edits were made on another release record"]
    source = CardSource.of(record)
    try:
        state = state_after(source, card.edits, (card.first, card.card))
    except ConfigError as error:
        return [f"the edits do not lead to this card: {error}"]
    if not (state.card.same_as(card.card) and state.first.same_as(card.first)):
        return ["the card is not the one that follows from the record by these edits"]
    return _wrong_costs(EditDesk(source, record), card)


def _wrong_costs(desk: EditDesk, card: EditedCard) -> list[str]:
    """Which edits are said to cost something else than they do."""
    out, states = [], [desk.state(card.edits[:k]) for k in range(len(card.history) + 1)]
    for place, entry in enumerate(card.history):
        found = desk.costs(*states[place : place + 2])
        wrong = [name for name in KNOWN_COSTS if not _alike(entry.costs.get(name), found[name])]
        if wrong:
            out.append(f"edit {entry.number}: what it is said to cost does not follow ({', '.join(wrong)})")
    return out


def _alike(said: Any, found: Any) -> bool:
    """Whether figures of two machines are the same ones, whose points may be rounded differently."""
    if isinstance(found, Mapping):
        same = isinstance(said, Mapping) and set(said) == set(found)
        return same and all(_alike(said[name], value) for name, value in found.items())
    if isinstance(found, list):
        same = isinstance(said, list) and len(said) == len(found)
        return same and all(_alike(s, f) for s, f in zip(said, found, strict=True))
    if not isinstance(found, int | float) or not isinstance(said, int | float):
        return found is said
    return bool(abs(said - found) <= ROUNDED + ROUNDED * abs(found))


def _check_said(edits: Sequence[CardEdit]) -> None:
    for edit in edits:
        for name in ("reason", "author"):
            if not getattr(edit, name):
                raise ConfigError(
                    f"edit: there is no {name}; every edit says why and by whom, for whoever validates the card"
                )
        if edit.empty:
            raise ConfigError("edit: it changes nothing; say what to merge, drop, force or state otherwise")


def _start(source: CardSource, record: ReleaseRecord, before: EditedCard | None) -> EditedCard:
    if before is None:
        state = state_after(source, ())
        return EditedCard(study=source.study, attempt=source.attempt, first=state.first, card=state.card)
    wrong = before.broken()
    if before.history and before.history[0].record != record.digest():
        wrong = ["it was made from another release record"]
    if wrong:
        raise ConfigError(f"the edited card cannot be edited further: {'; '.join(wrong)}")
    return before


def _edited(desk: EditDesk, card: EditedCard, edit: CardEdit, time: str) -> EditedCard:
    one, other = desk.state(card.edits), desk.state((*card.edits, edit))
    entry = EditEntry(
        number=len(card.history) + 1,
        edit=edit,
        time=time,
        record=desk.record.digest(),
        before=card.digest,
        after=card_digest(other.card),
        given=card_digest(other.first),
        costs=_plain(desk.costs(one, other)),
        previous=card.history[-1].digest if card.history else "",
    )
    return replace(card, first=other.first, card=other.card, history=(*card.history, entry))


def _points_on(state: CardState, place: int) -> list[float] | None:
    """Points of a feature of the released card on its bins there, on the standard scale; None where it is gone."""
    for k, (_, origin) in enumerate(state.features):
        if origin.place == place:
            points = np.asarray(state.card.points[k], float)[origin.codes] / state.card.scale.ratio
            return [float(p) for p in points]
    return None


def _plain(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures rounded to six digits: the same history on machines that add up in another order."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.6g}")
        if isinstance(value, Mapping):
            return {k: rounded(v) for k, v in value.items()}
        return [rounded(v) for v in value] if isinstance(value, list) else value

    return {k: rounded(v) for k, v in figures.items()}
