import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from fedrisk.local.classifier import ScorecardClassifier
from support import exported_cards as made

EXPECTED_FAILURES = {}


@parametrize_with_checks(
    [ScorecardClassifier(bins=6)], expected_failed_checks=lambda estimator: EXPECTED_FAILURES
)
def test_scikit_learn_takes_it_for_one_of_its_own(estimator, check):
    check(estimator)


def customers(n=1500, seed=1):
    rng = np.random.default_rng(seed)
    age, use = rng.uniform(18, 80, n), rng.random(n)
    sector = rng.choice(["制造业", "retail", "farming"], n)
    z = -1.5 - 0.04 * (age - 45) + 3 * (use - 0.5) + np.where(sector == "farming", 1.0, 0.0)
    frame = pd.DataFrame({"age": age, "use": use, "sector": sector, "secured": rng.random(n) < 0.4})
    frame.loc[rng.random(n) < 0.1, "use"] = np.nan
    frame.loc[rng.random(n) < 0.1, "use"] = -9.0
    return frame, (rng.random(n) < expit(z)).astype(int)


def test_a_card_is_fitted_that_tells_the_classes_apart_and_is_calibrated():
    x, y = customers()
    fresh, later = customers(seed=2)
    found = ScorecardClassifier(bins=8, special={"use": {-9: "no record"}}).fit(x, y)
    p = found.predict_proba(fresh)[:, 1]
    assert 0.7 < roc_auc_score(later, p) < 0.95
    assert abs(p.mean() - later.mean()) < 0.04
    assert "no privacy" in found.card_.notice
    assert found.card_.bins[1].feature.special == (("-9", "no record"),)
    assert found.card_.bins[2].categories == ("farming", "retail", "制造业")
    assert (found.points(fresh).sum(axis=1) + found.card_.base_points == found.score_points(fresh)).all()
    assert found.reasons(fresh.head(3)) == found.reasons(fresh)[:3]


def test_a_direction_is_kept():
    x, y = customers(300)
    found = ScorecardClassifier(bins=8, monotone={"age": "decreasing"}).fit(x, y)
    assert np.all(np.diff(found.card_.points[0][:-1]) >= 0)


def test_it_stands_in_pipelines_and_searches():
    x, y = customers(400)
    grid = GridSearchCV(make_pipeline(ScorecardClassifier()), {"scorecardclassifier__bins": [2, 6]}, cv=2)
    assert grid.fit(x, y).best_params_["scorecardclassifier__bins"] in (2, 6)


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_a_released_card_scores_as_it_does(data):
    card = data.draw(made.cards())
    table = data.draw(made.tables(card))
    codes = made.own_codes(card, "bank", table)
    frame = pd.DataFrame({name: v for (role, name), v in table.items() if role == "bank"})
    found = ScorecardClassifier.from_card(card)
    expected, external = card.base_points + card.institution_points("bank", list(codes.T)), None
    held = [a for a, b in zip(card.averages, card.bins, strict=True) if b.feature.institution != "bank"]
    if held:
        assert (found.score_points(frame) - expected == round(sum(held))).all()
        external = data.draw(st.lists(st.integers(-200, 200), min_size=len(codes), max_size=len(codes)))
        frame["external_points"] = external
        expected = expected + np.array(external)
    assert found.score_points(frame).tolist() == expected.tolist()
    assert (found.predict_proba(frame)[:, 1] == card.probability(expected)).all()
    assert found.reasons(frame) == card.reasons(list(codes.T), external)
    if len(frame) > 1:
        assert clone(found).fit(frame, np.arange(len(frame)) % 2).card_ == card


def test_a_released_card_says_which_columns_it_lacks():
    x, y = customers(200)
    card = ScorecardClassifier(bins=3).fit(x, y).card_
    with pytest.raises(ValueError, match="lacks columns of the card: use"):
        ScorecardClassifier.from_card(card).predict(x.drop(columns="use"))
    with pytest.raises(ValueError, match="the card takes 4"):
        ScorecardClassifier.from_card(card).predict(np.zeros((2, 3)))
