"""What one record changes in what is released, against the price: audited on whole studies, without the noise.

Every release is a Gaussian mechanism: the most that a record changes, in L2 norm, over the standard deviation of the
noise that is really in the total, is the mu that is really spent. It must not exceed the mu that is charged. The noise is
measured against the record's variances, which `test_noise.py` and `test_whole_study.py` check by sampling.
"""

import json
import math

import numpy as np
import pytest

from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard import score_grid
from fedrisk.releases.budget import total_mu

pytestmark = pytest.mark.study


@pytest.fixture(scope="module", params=["points", "bands"])
def run(request, kit, scratch):
    # One holder: its own policy decides about points or bands.
    policy = {"scores": request.param, "research": False}
    study = {"privacy": {"epsilon": 1.0}}
    return kit.build(scratch(), policy=policy, enterprises=2500, study=study).run()


def most_that_a_holders_record_moves(run):
    """Largest L2 change of the (bin, label) histogram when the holder's record of one enterprise becomes another."""
    scores = run.scores("alfa")
    held = scores[scores["split"] == "holdout"]
    card = Scorecard.from_json(json.dumps(run.card))
    edges = card.score_bins(run.study.evaluation.bins)
    every = np.unique(scores["external_points"])
    norms = []
    for score, own in zip(held["score"], held["external_points"], strict=True):
        before = card.risk_bins(np.array([score]), edges)[0]
        after = card.risk_bins(score - own + every, edges)
        # The label stays: one cell loses the enterprise, another one gets it.
        norms.append(math.sqrt(2) if (after != before).any() else 0.0)
    return max(norms)


def test_the_evaluation_costs_a_holder_no_more_than_it_is_charged(run):
    (released,) = [r for r in run.results.record.releases if r.name == "evaluation"]
    (block,) = released.blocks
    moved = most_that_a_holders_record_moves(run)
    assert moved == math.sqrt(2)  # or nothing would be audited
    audited = moved / math.sqrt(block.variance)
    charged = {s["institution"]: s["mu"] for s in released.spends}
    assert set(charged) == {"alfa", "tax"}
    assert audited <= charged["tax"] * (1 + 1e-9)
    # A price far above what is spent would waste budget.
    assert audited > 0.95 * charged["tax"]


def test_the_holders_ledger_has_the_evaluation(run):
    entries = {e.spend.release: e.spend for e in run.nodes["tax"].ledger.entries()}
    assert entries["evaluation"].population == "holdout"
    assert entries["evaluation"].mu == pytest.approx(total_mu(run.study))


@pytest.mark.long
def test_without_holders_the_evaluation_has_less_noise(kit, tmp_path):
    study = {"privacy": {"epsilon": 1.0}}
    alone = kit.build(tmp_path, kit.BANKS[:2], (), study=study).run()
    both = kit.build(tmp_path / "both", kit.BANKS[:2], ("tax",), study=study).run()

    def variance(found):
        (released,) = [r for r in found.results.record.releases if r.name == "evaluation"]
        return released.blocks[0].variance

    assert variance(both) == pytest.approx(2 * variance(alone), rel=0.01)


def test_a_training_row_moves_the_score_of_nobody_else(run, monkeypatch):
    """What is given for a sum of points follows from what was told: no row, not even the number of rows, is looked at."""
    node = run.nodes["tax"]
    attempt = node.attempt(run.step("score").sent["tax"])

    def never(*_, **__):
        raise AssertionError("a choice looks at rows")

    first = Scorecard.from_json(run.told("card").get("scorecard"))
    for name in ("read", "by_id"):
        monkeypatch.setattr(attempt, name, never, raising=False)
    monkeypatch.setattr(type(attempt.state), "get", never)
    given = score_grid.given_points(attempt, first, *score_grid.sums_of(attempt))
    # And it is what the bank got, which it brings to the scale of the calibrated card.
    calibration = Scorecard.from_json(json.dumps(run.card)).calibration
    external = set(run.scores("alfa")["external_points"])
    assert external <= set(Scorecard.scaled_points(calibration, given.values).tolist())
    assert len(external) > 2


def test_prices_of_a_population_add_up_to_the_study(run):
    mu = total_mu(run.study)
    for name, node in run.nodes.items():
        by_population = {}
        for entry in node.ledger.entries():
            squares = by_population.setdefault(entry.spend.population, [])
            squares.append(entry.spend.mu**2)
        assert set(by_population) == {"training", "holdout"}, name
        for squares in by_population.values():
            assert math.sqrt(sum(squares)) <= mu * (1 + 1e-9)
