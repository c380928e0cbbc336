"""From own columns and the members' sums to the answers of a request, row by row."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.store.model_store import State
from fedrisk.data.dictionary import Dictionary
from fedrisk.serving.ages import AGES
from fedrisk.serving.card_model import CardModel
from fedrisk.serving.grades import grade
from fedrisk.serving.own_columns import OwnRows
from fedrisk.serving.score_forms import Ages, ModelShown, ModelUsed, ScoreAnswer, ScoreRequest
from fedrisk.serving.sums import Sums, by_theme, points_of
from fedrisk.serving.words import chance, of_code, of_members
from fedrisk.study import DEFAULT_LABEL


@dataclass(frozen=True)
class Scored:
    """Rows of a request that have a score, n in their order.

    Attributes:
        codes: bin codes of the bank's features, (n,) each. total: scores; probability: of default; own, external:
            points, (n,), external None where the model has no holders.
        reasons: of each row. bank: probability by the bank's own model, None where it keeps none.
        places: of each row among those that were asked; None where the model has no holders.
    """

    codes: Sequence[NDArray[Any]]
    total: NDArray[np.int64]
    probability: NDArray[np.float64]
    reasons: Sequence[tuple[str, ...]]
    own: NDArray[np.int64]
    external: NDArray[np.int64] | None
    bank: NDArray[np.float64] | None
    places: NDArray[np.intp] | None


@dataclass(frozen=True)
class Answering:
    """What is known when a request is answered.

    asked: rows of the request that the members were asked about, in their order. sums: what they gave; None where the
    model has no holders. failure: code where nobody could be asked.
    """

    request: ScoreRequest
    model: CardModel
    deployed_as: str
    own: OwnRows
    asked: Sequence[int] = ()
    sums: Sums | None = None
    failure: str = ""

    def answers(self) -> list[ScoreAnswer]:
        """The answer of each row, in order."""
        without = self.without()
        scored = [k for k in range(len(self.request.ids)) if k not in without]
        found = dict(zip(scored, self._scores(scored), strict=True)) if scored else {}
        return [found[k] if k in found else without[k] for k in range(len(self.request.ids))]

    @property
    def used(self) -> ModelUsed:
        """The model that answers."""
        part = self.model.part
        return ModelUsed(id=part.model, name=part.name, version=part.version, deployed_as=self.deployed_as)

    def without(self) -> dict[int, ScoreAnswer]:
        """Rows that have no score."""
        out = {}
        for row, (code, names) in self.own.refused.items():
            words = of_code(code) if not names else f"{of_code(code)[:-1]}: {', '.join(names)}."
            out[row] = self._answer(row, code=code, words=words)
        for place, row in enumerate(self.asked):
            if self.failure:
                out[row] = self._answer(row, code=self.failure, words=of_code(self.failure))
            elif self.sums is not None:
                codes = dict(self.sums.failed) or dict(self.sums.refused.get(place, {}))
                if codes:
                    first = codes[sorted(codes)[0]]
                    out[row] = self._answer(row, code=first, words=of_members(codes), members=codes)
        return out

    def scored(self, rows: Sequence[int]) -> "Scored":
        """Scores of these rows, and all that goes with them, as arrays."""
        card, pick = self.model.card, list(rows)
        columns = {name: _rows(column, pick) for name, column in self.own.columns.items()}
        codes = self.model.codes(columns)
        own = self.model.own_points(codes, len(pick))
        external, places, themes = None, None, {}
        if self.sums is not None:
            at = {row: place for place, row in enumerate(self.asked)}
            places = np.array([at[row] for row in pick])
            part, given = self.model.part, {n: c[places] for n, c in self.sums.columns.items()}
            external = self.model.external(points_of(part, given))
            themes = {name: self.model.external(points) for name, points in by_theme(part, given).items()}
        total = self.model.totals(own, external)
        return Scored(
            codes=codes,
            total=total,
            probability=card.probability(total),
            reasons=self.model.reasons(codes, external, len(pick)),
            own=own,
            external=external,
            bank=self.model.own_probability(columns, codes, external, themes),
            places=places,
        )

    def _scores(self, rows: Sequence[int]) -> list[ScoreAnswer]:
        s = self.scored(rows)
        return [
            self._answer(
                row,
                score=int(s.total[k]),
                probability=float(s.probability[k]),
                probability_words=chance(float(s.probability[k])),
                grade=grade(float(s.probability[k])),
                grade_scale="public",
                reasons=s.reasons[k],
                own_points=int(s.own[k]),
                external_points=None if s.external is None else int(s.external[k]),
                own_probability=None if s.bank is None else float(s.bank[k]),
                ages=None if s.places is None else self.ages(int(s.places[k])),
            )
            for k, row in enumerate(rows)
        ]

    def ages(self, place: int) -> Ages:
        """How old the members' records are of one row that was asked, by its place among these."""
        columns = self.sums.columns if self.sums is not None else {}
        if not all(name in columns for name in AGES):
            holders = ", ".join(self.model.part.holders)
            return Ages(told=False, words=f"Not told: {holders} decide that (policy.serving.ages).")
        return ages_of({name: int(columns[name][place]) for name in AGES})

    def _answer(self, row: int, **content: Any) -> ScoreAnswer:
        return ScoreAnswer(
            id=self.request.ids[row],
            model=self.used,
            own_day=self.own.day.get(row),
            missing=self.own.missing.get(row, ()) if row not in self.own.refused else (),
            notice=self.model.card.notice,
            made=time.time(),
            **content,
        )


def ages_of(counts: Mapping[str, int]) -> Ages:
    """Counts of members by age, with a sentence.

    >>> ages_of({"fresh": 2, "aging": 0, "old": 1, "missing": 1}).words
    '3 of 4 members know it. Records: 2 of the last month, 1 older than three months.'
    """
    members, known = sum(counts.values()), sum(counts[n] for n in AGES[:3])
    if not known:
        return Ages(
            told=True, words=f"None of {members} members knows it, or their records are too old.", **counts
        )
    kinds = {
        "fresh": "of the last month",
        "aging": "of the last three months",
        "old": "older than three months",
    }
    parts = ", ".join(f"{counts[name]} {what}" for name, what in kinds.items() if counts[name])
    return Ages(
        told=True,
        words=f"{known} of {members} members know{'s' * (known == 1)} it. Records: {parts}.",
        **counts,
    )


def shown(model: CardModel, state: State, dictionary: Dictionary | None) -> ModelShown:
    """A model as a loan system may choose it."""
    part, (low, high, mean) = model.part, model.scale
    described = {} if dictionary is None else {c.name: c for c in dictionary.columns}
    columns = []
    for b in model.bins:
        f = b.feature
        about: dict[str, Any] = {"name": f.column, "kind": f.kind, "required": not f.missing}
        if f.column in described:
            about["meaning"] = described[f.column].meaning
        if f.kind == "number":
            about |= {"low": f.low, "high": f.high}
        if b.categories:
            about["categories"] = list(b.categories)
        columns.append(about)
    return ModelShown(
        id=part.model,
        name=part.name,
        version=part.version,
        state=state.name,
        deployed_as=state.as_ if state.name == "deployed" else None,
        purpose=part.purpose,
        made=part.made.isoformat(),
        holders=part.holders,
        columns=tuple(columns),
        low=low,
        high=high,
        mean=mean,
        horizon=_horizon(part.label, dictionary),
        notice=model.card.notice,
    )


def _horizon(label: str | None, dictionary: Dictionary | None) -> str:
    """What counts as the outcome that a model foretells, in the bank's words; empty where its dictionary has none."""
    labels = () if dictionary is None else dictionary.labels
    named = [one.horizon for one in labels if one.name == (label or DEFAULT_LABEL)]
    # A bank's only label may have got its name after the model was made.
    return named[0] if named else labels[0].horizon if len(labels) == 1 and label is None else ""


def _rows(column: Any, pick: list[int]) -> NDArray[Any]:
    return np.asarray(column)[pick]
