"""A bank's own comparison: by hand, the rule at its margin, and how often it errs."""

import json

import numpy as np
import pandas as pd
import pytest

from fedrisk.findings import Finding
from fedrisk.metrics import auc
from fedrisk.models.comparison import Difference
from fedrisk.recipes.scorecard import own_verdict as module
from fedrisk.recipes.scorecard.own_verdict import MARGIN, own_figures, own_verdict
from fedrisk.report.text import own_sentences
from fedrisk.report.words import sentence


def squash(x):
    return 1 / (1 + np.exp(-np.asarray(x, float)))


def rows(n=600, seed=0, share=0.3):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(float)
    return y, rng


def test_a_better_card_is_to_be_used_and_said_so():
    y, rng = rows()
    noise = rng.normal(size=len(y))
    found = own_verdict(y, {"scorecard": squash(2 * y + noise), "alone": squash(0.5 * y + noise)})
    assert found["use"] == "scorecard"
    assert [f["code"] for f in found["findings"]] == ["own_use", "own_above"]
    assert found["models"]["scorecard"]["auc"] == pytest.approx(auc(y, 2 * y + noise))
    gap = found["against_own"]["scorecard"]["auc"]
    assert gap["value"] == pytest.approx(auc(y, 2 * y + noise) - auc(y, 0.5 * y + noise))
    assert (found["defaults"], found["others"]) == (int(y.sum()), int((1 - y).sum()))
    first, rule, second = own_sentences(found)
    assert "90% interval" in rule
    assert first == "Use the consortium's card."
    assert "ranks better" in second
    json.dumps(found, allow_nan=False)


def test_a_worse_card_leaves_the_bank_its_own():
    y, rng = rows()
    noise = rng.normal(size=len(y))
    found = own_verdict(
        y,
        {
            "scorecard": squash(0.3 * y + noise),
            "alone": squash(1.5 * y + noise),
            "champion": squash(1.5 * y + noise + 1e-3 * rng.normal(size=len(y))),
        },
    )
    assert found["use"] in ("alone", "champion")
    assert [f["code"] for f in found["findings"]] == ["own_use", "own_below", "own_no_worse"]


def test_few_defaults_leave_the_bank_its_own_where_nothing_is_shown():
    """Four defaults: the card swaps one pair of the own order, better by 1/80, which a few rows cannot show."""
    y = np.r_[np.zeros(20), np.ones(4)]
    own = np.r_[np.arange(20), 3.5, 8.5, 14.5, 21.0]
    card = np.r_[np.arange(20)[::-1], 4.5, 8.5, 14.5, 21.0]
    found = own_verdict(y, {"scorecard": squash(card / 9), "alone": squash(own / 9)})
    assert found["against_own"]["scorecard"]["auc"]["value"] == pytest.approx(1 / 80)
    assert found["findings"][1]["code"] == "own_not_shown"
    assert found["use"] == "alone"


@pytest.mark.parametrize(
    ("value", "error", "code"),
    [
        (0.02, 0.01, "own_above"),
        (0.01, 0.01, "own_no_worse"),
        (0.0, 0.0, "own_no_worse"),
        (0.01, 0.02, "own_not_shown"),
        (-0.02, 0.02, "own_not_shown"),
        (-0.02, 0.01, "own_below"),
    ],
)
def test_what_is_said_by_hand(value, error, code):
    """Ends at 1.645 errors: above 0, above -.01, below 0, or neither."""
    none = Difference(value=0.0, error=0.0)
    found = module._finding("scorecard", Difference(value=value, error=error), none)
    assert found.code == code
    assert "the consortium's card" in sentence(found)


def test_the_best_of_those_that_pass():
    gaps = {
        "scorecard": Difference(value=0.03, error=0.05),
        "champion": Difference(value=0.01, error=0.001),
        "personal": Difference(value=0.02, error=0.001),
    }
    area = {"alone": 0.7, "scorecard": 0.73, "champion": 0.71, "personal": 0.72}
    assert module._use(area, gaps) == "personal"
    assert module._use({**area, "alone": 0.8}, gaps) == "alone"
    assert module._use({"scorecard": 0.6}, {}) == "scorecard"


def test_one_in_twenty_of_the_models_worse_by_the_margin_passes():
    """400 hold-outs of a card worse by the margin: 20 expected to pass, 33 is 3 standard deviations above."""
    rng = np.random.default_rng(3)
    y = np.repeat([0.0, 1.0], [300, 80])
    truth_rows = np.repeat([0.0, 1.0], 200_000)

    def pair(label, step):
        shared, one, two = rng.normal(size=(3, len(label)))
        return shared + 0.7 * one + (1.2 - step) * label, shared + 0.7 * two + 1.2 * label

    card, own = pair(truth_rows, 0.06)
    assert auc(truth_rows, card) - auc(truth_rows, own) < -MARGIN
    passed = 0
    for _ in range(400):
        card, own = pair(y, 0.06)
        found = own_verdict(y, {"scorecard": squash(card), "alone": squash(own)})
        passed += found["findings"][1]["code"] in ("own_above", "own_no_worse")
    assert passed <= 33


def test_a_hold_out_with_one_default_says_nothing():
    assert own_verdict([0, 0, 0, 1], {"scorecard": [0.1, 0.2, 0.3, 0.4]}) is None


def test_the_cards_log_loss_is_that_after_recalibration():
    y, rng = rows()
    own = squash(y + rng.normal(size=len(y)))
    found = own_verdict(y, {"scorecard": own**0.25, "recalibrated": own, "alone": own})
    assert found["against_own"]["scorecard"]["log_loss"]["value"] == 0.0
    assert found["models"]["scorecard"]["log_loss"] > found["models"]["recalibrated"]["log_loss"]
    assert "recalibrated" not in found["against_own"]


def test_what_a_bank_keeps():
    y, rng = rows(200)
    scores = pd.DataFrame(
        {"probability": squash(y + rng.normal(size=200)), "alone_probability": 0.3 + 0.1 * y}
    )
    test = np.arange(200) >= 100
    kept = json.loads(own_figures({"scorecard_auc": 0.7, "bank_alone_auc": None}, y, test, scores))
    assert (kept["scorecard_auc"], kept["bank_alone_auc"]) == (0.7, None)
    assert set(kept["verdict"]["models"]) == {"scorecard", "alone"}
    assert kept["verdict"]["defaults"] == int(y[test].sum())
    soft = np.where(test, 0.5, y)
    nothing = json.loads(own_figures({}, soft, test & (soft != 0.5), scores))
    assert nothing == {"verdict": None, "tables": {}, "absent": {}}


def test_a_table_that_fails_costs_no_other_figure(monkeypatch):
    y, rng = rows(200)
    scores = pd.DataFrame({"probability": squash(y + rng.normal(size=200)), "alone_probability": 0.5})
    told = []

    def fails(label, risk, scores=None):
        if len(set(risk)) == 1:
            raise MemoryError
        return {"auc": 0.5}

    monkeypatch.setattr("fedrisk.recipes.scorecard.own_verdict.table_of", fails)
    kept = json.loads(own_figures({}, y, y >= 0, scores, failed=lambda name, error: told.append(name)))
    assert kept["tables"] == {"scorecard": {"auc": 0.5}} and told == ["table_alone"]
    assert kept["verdict"]["models"]["alone"]["auc"] == 0.5


def test_words_name_the_model():
    assert sentence(Finding("own_use", {"use": "personal"})) == "Use the personal model."
