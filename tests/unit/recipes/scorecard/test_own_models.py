"""A bank's own models: what each hears, what fails without the others, and that a flattering card is not believed."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from fedrisk.alignment.matching import HOLD_OUT, TRAINING
from fedrisk.data.features import Feature
from fedrisk.metrics import auc
from fedrisk.models import champion
from fedrisk.models.binning import Bins
from fedrisk.models.scorecard import FACTOR, Scorecard
from fedrisk.recipes.scorecard.delivery import Scored
from fedrisk.recipes.scorecard.own_models import _boosting, _near, _said, own_models

pytestmark = pytest.mark.slow
EDGES = (-1.0, -0.3, 0.3, 1.0)


def card_of(weights, external=0):
    """A card with one curve for each column; the last ``external`` columns are of a holder."""
    bins, points = [], []
    for k, w in enumerate(weights):
        role = "bank" if k < len(weights) - external else "tax"
        bins.append(Bins(Feature(institution=role, column=f"x{k}", low=-3, high=3), edges=EDGES))
        points.append(tuple(round(-FACTOR * w * v) for v in (-1.5, -0.6, 0.0, 0.6, 1.5, 0.0)))
    return Scorecard(
        study="s",
        bins=tuple(bins),
        points=tuple(points),
        base_points=560,
        averages=(0.0,) * len(bins),
        intercept=-1.0,
        rate=0.25,
        sd=25.0,
        gap=20.0,
        partial_sd={},
    )


def bank(card, truth, n=2500, seed=0, fitted=0.6, columns=None):
    """Customers whose log-odds are ``truth`` of their columns; ``columns`` as the bank's table has them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(card.bins)))
    label = (rng.random(n) < expit(truth(x))).astype(float)
    mine = [j for j, b in enumerate(card.bins) if b.feature.institution == "bank"]
    codes = np.stack([card.bins[j].codes(x[:, j]) for j in range(len(card.bins))], 1)
    points = np.stack([np.asarray(card.points[j])[codes[:, j]] for j in range(len(card.bins))], 1)
    own = points[:, mine].sum(1)
    external = points.sum(1) - own if len(mine) < len(card.bins) else None
    inputs = pd.DataFrame({f"x{j}": x[:, j] for j in mine}) if columns is None else columns
    return Scored(
        ids=np.arange(n),
        inputs=inputs,
        codes=codes[:, mine],
        own=own,
        external=external,
        total=points.sum(1) + card.base_points,
        label=label,
        use=np.where(rng.random(n) < fitted, TRAINING, HOLD_OUT).astype(np.uint8),
    )


def fitted(card, scored, *, several=True, total=20_000):
    failures = []
    fit = scored.use == TRAINING
    out = own_models(
        card, scored, fit, total, several=several, failed=lambda name, e: failures.append((name, e))
    )
    return out, failures


def held_auc(scored, probability):
    test = scored.use == HOLD_OUT
    return auc(scored.label[test], probability[test])


def additive(x):
    return -1.2 + x @ np.linspace(0.2, 0.7, x.shape[1])


@pytest.mark.long
def test_banks_only_a_card_that_knows_the_truth_helps_a_small_bank():
    """Mean of four banks with 240 training rows each; the gain is six times its standard error."""
    card, gains = card_of(np.linspace(0.2, 0.7, 6)), []
    for seed in range(4):
        scored = bank(card, additive, n=4000, seed=seed, fitted=0.06)
        found, failures = fitted(card, scored)
        assert not failures
        for name in ("champion", "personal"):
            gains.append(
                held_auc(scored, found.probability[name]) - held_auc(scored, found.probability["alone"])
            )
    assert np.mean(gains) > 0.015


@pytest.mark.long
def test_a_bank_unlike_the_others_does_not_lose():
    """The card is the wrong way round, and the bank's risk is an interaction that no card can say."""
    card = card_of(np.linspace(-0.2, -0.7, 6))
    scored = bank(card, lambda x: -1 + 1.5 * np.sign(x[:, 0] * x[:, 1]), n=6000)
    found, failures = fitted(card, scored)
    alone = held_auc(scored, found.probability["alone"])
    assert not failures and alone > 0.75
    assert held_auc(scored, found.probability["champion"]) > alone - 0.01
    assert held_auc(scored, found.probability["personal"]) > alone - 0.01
    assert found.weights["champion"]["alone"] + found.weights["champion"]["boosted"] > 0.8


def test_what_holders_know_reaches_the_champion():
    card = card_of(np.full(6, 0.7), external=3)
    scored = bank(card, lambda x: -1.2 + 0.7 * x.sum(1))
    for several in (False, True):
        found, _ = fitted(card, scored, several=several)
        assert (
            held_auc(scored, found.probability["champion"])
            > held_auc(scored, found.probability["alone"]) + 0.05
        )
        assert ("personal" in found.probability) is several
        assert set(found.weights["champion"]) == {"alone", "boosted"} | ({"near"} if several else set())


def test_a_card_that_learnt_the_banks_rows_by_heart_is_not_believed():
    """A card of 40 columns fitted without noise on this bank's 800 rows alone ranks them .22 better than others."""
    card = card_of(np.full(40, 0.01))
    scored = bank(card, lambda x: -1 + 0.8 * x[:, 0], n=1600, fitted=0.5)
    fit = scored.use == TRAINING
    points = []
    for k in range(40):
        counts = np.stack(
            [np.bincount(scored.codes[fit, k], w, 6) for w in (scored.label[fit], 1 - scored.label[fit])]
        )
        odds = np.log((counts[0] + 5) / (counts[1] + 15))
        points.append(tuple(np.rint(-FACTOR * (odds - np.log(1 / 3))).astype(int).tolist()))
    card = Scorecard(**{**card.__dict__, "points": tuple(points)})
    total = card.base_points + sum(np.asarray(p)[scored.codes[:, k]] for k, p in enumerate(points))
    scored = Scored(**{**scored.__dict__, "total": total, "own": total - card.base_points})
    assert auc(scored.label[fit], -total[fit]) > held_auc(scored, -total) + 0.2
    found, _ = fitted(card, scored, total=int(fit.sum()))
    assert (
        held_auc(scored, found.probability["champion"]) > held_auc(scored, found.probability["alone"]) - 0.03
    )


def test_predictions_out_of_fold_do_not_know_their_labels():
    """Labels that nothing tells: whatever ranks them out of fold saw them. Six standard errors of chance."""
    card = card_of(np.linspace(0.2, 0.7, 6))
    scored = bank(card, lambda x: np.full(len(x), -1.0), n=6000, fitted=0.7)
    fit = scored.use == TRAINING
    said = _said(card, scored, fit, 8000)
    for member in (_near(scored, fit, said, 8000), _boosting(scored, fit, said.told(fit, False))):
        assert auc(scored.label[fit], member.held_out) < 0.5 + 6 * 0.0105


def test_labels_only():
    card = card_of(np.full(4, 0.7), external=4)
    scored = bank(card, lambda x: -1.2 + 0.7 * x.sum(1), columns=pd.DataFrame(index=range(2500)))
    found, failures = fitted(card, scored)
    assert not failures and "personal" not in found.probability
    assert len(np.unique(found.probability["alone"])) == 1
    assert held_auc(scored, found.probability["champion"]) > 0.75


@pytest.mark.parametrize("broken", ["alone", "boosted", "near", "card", "recalibrated"])
def test_one_model_that_fails_takes_no_other_with_it(monkeypatch, broken):
    card = card_of(np.linspace(0.2, 0.7, 4))
    scored = bank(card, additive, n=600)
    fit = champion.fit_champion

    def fails(x, y, told=None, **options):
        if (told is None) == (broken == "alone"):
            raise ValueError("broken")
        return fit(x, y, told, **options)

    def broken_here(*a, **k):
        raise ValueError("broken")

    if broken in ("alone", "boosted"):
        monkeypatch.setattr(champion, "fit_champion", fails)
    elif broken == "near":
        monkeypatch.setattr("fedrisk.recipes.scorecard.own_models.personal_models", broken_here)
    elif broken == "card":
        monkeypatch.setattr("fedrisk.recipes.scorecard.own_models.without_fold", broken_here)
    else:
        monkeypatch.setattr("fedrisk.recipes.scorecard.own_models._recalibrated", broken_here)
    found, failures = fitted(card, scored)
    assert [name for name, _ in failures] == found.absent == ["champion" if broken == "card" else broken]
    there = {"recalibrated", "alone", "champion", "personal", "best"}
    there -= {"card": {"champion", "personal"}, "alone": {"alone"}}.get(broken, {broken})
    there -= {"personal"} if broken == "near" else set()
    assert set(found.probability) == there
    for p in found.probability.values():
        assert np.isfinite(p).all() and (p > 0).all() and (p < 1).all()


def test_ten_of_a_class_and_columns_without_values():
    card = card_of(np.linspace(0.2, 0.7, 4))
    scored = bank(card, additive, n=600)
    label = np.zeros(600)
    label[np.flatnonzero(scored.use == TRAINING)[:10]] = 1
    inputs = scored.inputs.assign(x0=np.nan, x1=None, external_score=1.0)
    scored = Scored(**{**scored.__dict__, "label": label, "inputs": inputs})
    found, failures = fitted(card, scored)
    assert not failures and {"champion", "personal", "alone"} <= set(found.probability)
