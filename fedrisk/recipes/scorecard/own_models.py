"""The models that a bank fits for itself once it has its scores: alone, near the card, champion.

They are fitted on the bank's own training rows, without noise, and stay at the bank with everything that is chosen on
the way. `alone` is boosting on the bank's raw columns. Three things differ from it, and a bank's best model is a mean
of them (`models/stacking`):

- `boosted`, the same with what the consortium says as a column: the holders' log-odds, or in a study without holders
  the whole card's. Where holders give their points by theme, each theme is a column too. Trees find where the card is
  wrong at this bank, and what themes say together with its own columns.
- `near`, linear near the card (`models/personal`): it draws the bank's curves to those of all banks.

`personal` is the mean of near and alone; `champion` the mean of all three. Beside holders the models that hear them
have three votes, since what they know is new to the bank; without holders `alone` has three, since the bank has the
columns already and other banks only add rows, of customers who may be different.

The consortium as the starting value of boosting was tried and left out: benchmarks/own_models has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import expit, logit

from fedrisk.models.forest import Forest
from fedrisk.models.own_model import OwnModel, Said
from fedrisk.models.personal import (
    LinearModel,
    folds_of,
    log_loss_terms,
    personal_models,
    without_fold,
)
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.stacking import averaged, stacking_weights
from fedrisk.study_members import BANK

if TYPE_CHECKING:
    from fedrisk.models.champion import Champion
    from fedrisk.recipes.scorecard.delivery import Scored

Floats = NDArray[np.float64]
Failed = Callable[[str, Exception], None]

BIN_ROWS = 30.0
"""Ridge on a bin of the card, in enterprises, where a fold is taken out of it: what smoothing amounts to.

At six lenders, without noise, cards that were fitted again without a fold rank its rows .008 to .014 below the card
with it; this ridge takes .012 to .018 away (AUC), the design of one weight for each column .002 to .004.
"""

VOTES = {"alone": 3.0, "boosted": 1.0, "near": 1.0}
"""Votes in a study without holders."""

VOTES_BESIDE_HOLDERS = {"alone": 1.0, "boosted": 3.0, "near": 3.0}


@dataclass(frozen=True)
class Member:
    """One model: log-odds of all customers, (n,), and of the training rows by models that did not see them.

    fitted: the model itself, None of a mean or of the card.
    """

    log_odds: Floats
    held_out: Floats
    fitted: Champion | LinearModel | float | None = None


@dataclass
class OwnModels:
    """A bank's models. probability: by model, (n,). weights: of the members by mean. absent: names that failed.

    best: the name of the model with the least log loss out of fold on the bank's training rows. fitted: the members
    themselves, which means are made of.
    """

    probability: dict[str, Floats] = field(default_factory=dict)
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    best: str | None = None
    fitted: dict[str, Champion | LinearModel | float] = field(default_factory=dict)

    def kept(self, *, beside_holders: bool, themes: tuple[str, ...] = ()) -> OwnModel:
        """All of it as numbers, to be applied to any row. themes: that the models hear."""
        members = {
            name: m if isinstance(m, LinearModel | float) else Forest.of(m) for name, m in self.fitted.items()
        }
        return OwnModel(members, self.weights, self.best, beside_holders, themes)


@dataclass(frozen=True)
class _Card:
    """What the card says of each customer.

    said: as it is. clean: of the training rows as if their fold had not been trained on, curves and log-odds.
    """

    said: Said
    clean: tuple[Floats, Floats]

    def told(self, fit: NDArray[np.bool_], beside_holders: bool) -> tuple[Floats, Floats]:
        """What the bank's columns do not say: of all rows, and of the training rows.

        The holders' part is given as it is. A bank cannot know which of their bins a fold moved, and a fold taken out
        of the weight of their sum alone stretches it (by .12 on default_credit), which cost .0015 AUC.
        """
        told = self.said.told(beside_holders=beside_holders)
        return told, told[fit] if beside_holders else self.clean[1]


def own_models(
    card: Scorecard, scored: Scored, fit: NDArray[np.bool_], total_rows: int, *, several: bool, failed: Failed
) -> OwnModels:
    """The bank's models, fitted on the rows ``fit``, with both classes.

    Args:
        card: the consortium's card.
        scored: the bank's customers.
        fit: (n,), its training rows.
        total_rows: training rows of all banks together.
        several: whether there are other banks; else nothing is to be near to, and there is no personal model.
        failed: hears of each model that could not be fitted; the others are there all the same.
    """
    out = OwnModels()

    def tried(name: str, make: Callable[[], Member]) -> None:
        try:
            members[name] = make()
        except Exception as error:
            out.absent.append(name)
            failed(name, error)

    members: dict[str, Member] = {}
    tried("recalibrated", lambda: _recalibrated(card, scored, fit))
    if "recalibrated" in members:
        out.probability["recalibrated"] = expit(members.pop("recalibrated").log_odds)
    beside = scored.external is not None
    tried("alone", lambda: _boosting(scored, fit, None))
    try:
        said = _said(card, scored, fit, total_rows)
    except Exception as error:
        out.absent.append("champion")
        failed("champion", error)
    else:
        tried("boosted", lambda: _boosting(scored, fit, said.told(fit, beside)))
        if several and scored.codes.shape[1]:
            tried("near", lambda: _near(scored, fit, said, total_rows))
        members["scorecard"] = Member(said.said.log_odds, said.clean[1])
    out.fitted.update({name: m.fitted for name, m in members.items() if m.fitted is not None})
    _means(out, members, scored.label[fit], VOTES_BESIDE_HOLDERS if beside else VOTES)
    return out


def _means(out: OwnModels, members: Mapping[str, Member], label: Floats, votes: Mapping[str, float]) -> None:
    """Add alone, personal, champion and the best to what was found; each needs a member that hears the consortium."""
    final = {name: members[name] for name in ("scorecard", "alone") if name in members}
    for name, parts in (("personal", ("alone", "near")), ("champion", ("alone", "boosted", "near"))):
        there = {p: members[p] for p in parts if p in members}
        if not set(there) - {"alone"}:
            continue
        held_out = {p: m.held_out for p, m in there.items()}
        weights = stacking_weights(held_out, label, {p: votes[p] for p in there})
        out.weights[name] = weights
        mean = averaged({p: m.log_odds for p, m in there.items()}, weights)
        final[name] = Member(mean, averaged(held_out, weights))
    if not final:
        return
    out.probability.update({name: expit(m.log_odds) for name, m in final.items() if name != "scorecard"})
    loss = {name: float(log_loss_terms(m.held_out, label).mean()) for name, m in final.items()}
    best = min(loss, key=lambda name: loss[name])
    out.best, out.probability["best"] = best, expit(final[best].log_odds)


def _recalibrated(card: Scorecard, scored: Scored, fit: NDArray[np.bool_]) -> Member:
    # Only banks need scikit-learn, only here, and it is slow to load.
    from sklearn.linear_model import LogisticRegression

    scale = scored.total[:, None] / max(card.sd, 1e-9)
    model = LogisticRegression(C=np.inf).fit(scale[fit], scored.label[fit])
    log_odds = np.asarray(model.decision_function(scale), dtype=np.float64)
    return Member(log_odds, log_odds[fit])


def _boosting(scored: Scored, fit: NDArray[np.bool_], told: tuple[Floats, Floats] | None) -> Member:
    """Boosting on the bank's columns and what it is told: of all rows, and of the training rows."""
    from fedrisk.models.champion import fit_champion

    label = scored.label[fit]
    if told is None and not len(scored.inputs.columns):
        rate = float(logit(label.mean()))
        return Member(np.full(len(fit), rate), np.full(len(label), rate), rate)
    every, training = (None, None) if told is None else told
    model = fit_champion(scored.inputs[fit], label, training)
    return Member(model.log_odds(scored.inputs, every), model.held_out, model)


def _near(scored: Scored, fit: NDArray[np.bool_], said: _Card, total_rows: int) -> Member:
    """The bank's linear model near the card: every column's curve, and the holders' log-odds, each theme a column."""
    rows, label = said.said.curves, scored.label
    spans = [(k, k + 1) for k in range(rows.shape[1])]
    # Not said.clean: curves with and without a fold, side by side and bin by bin, would tell the fold's labels.
    found = personal_models(rows, label, fit, said.said.log_odds, rows, spans, total_rows=total_rows)
    return Member(found.logits["personal"], found.held_out["personal"], found.models.get("personal"))


def _said(card: Scorecard, scored: Scored, fit: NDArray[np.bool_], total_rows: int) -> _Card:
    """The card's log-odds by column, and those of the training rows without their fold.

    A fold is taken out of the points of each bin, and of the weight of the holders' sum; what it did to single points
    of theirs the bank cannot know.
    """
    said = Said.of(card, list(scored.codes.T), scored.external, scored.by_theme)
    every, shared, label = said.curves, said.log_odds, scored.label[fit]
    sizes = [len(card.points[j]) for j in card.features_of(BANK)] if scored.codes.shape[1] else []
    sizes += [1] * said.held
    ends = np.cumsum(sizes)
    spans = [(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]
    # A row has one bin of each of the bank's columns, and the holders' log-odds.
    place = np.tile(ends - sizes, (len(label), 1))
    place[:, : scored.codes.shape[1]] += scored.codes[fit]
    value = np.ones(place.shape)
    value[:, len(sizes) - said.held :] = every[fit, len(sizes) - said.held :]
    first = np.arange(0, place.size + 1, len(sizes))
    design = csr_array((value.ravel(), place.ravel(), first), shape=(len(label), int(ends[-1])))
    clean = without_fold(
        design, label, shared[fit], every[fit], spans, folds_of(label), total_rows, ridge=BIN_ROWS
    )
    return _Card(said, clean)
