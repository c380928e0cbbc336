"""What one record changes in what is released, against the price: audited on whole studies (`fedrisk.attacks.audit`).

A sample of what `fedrisk attack audit` goes through for every recipe.
"""

import json
import math

import pytest

from fedrisk.attacks.audit_exact import audited
from fedrisk.attacks.audit_sampled import sampled
from fedrisk.attacks.audit_settings import SETTINGS
from fedrisk.attacks.audit_trial import Trial
from fedrisk.attacks.controls import without_noise
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


def three_banks(folder, rows):
    """A study of three banks and a data holder with every form of counts, run again with so many other records."""
    (setting,) = [s for s in SETTINGS if s.name == "three_banks"]
    trial = Trial(setting, folder, 1)
    return trial, list(audited(trial, rows))


@pytest.fixture(scope="module")
def audit(scratch):
    return three_banks(scratch(), 1)


def shares(spent):
    """By release, the largest share of its claim that a change spends."""
    out = {}
    for found in spent:
        for kind, mu in found.mu.items():
            if found.claimed.get(kind):
                out[kind] = max(out.get(kind, 0.0), mu / found.claimed[kind])
    return out


def test_no_change_of_a_record_spends_more_than_is_charged_and_some_spend_it_all(audit):
    """Without noise in the figures: nothing is left to chance. A price far above what is spent would waste budget."""
    found = shares(audit[1])
    assert set(found) == {"edges", "counts", "recount", "calibration", "evaluation", "groups"}
    assert max(found.values()) <= 1 + 1e-9
    assert max(found.values()) > 0.95
    for spent in audit[1]:
        assert all(mu <= claimed * (1 + 1e-9) for _, mu, claimed in spent.composed), spent
    assert {s.party for s in audit[1]} >= {"alfa", "tax"}


@pytest.mark.long
def test_the_worst_of_more_records_spends_all_of_every_price(scratch):
    _, spent = three_banks(scratch(), 2)
    found = shares(spent)
    assert max(found.values()) <= 1 + 1e-9
    assert min(found[kind] for kind in ("edges", "counts", "recount")) > 0.95
    # Whether a holder's record moves an enterprise over an edge depends on who is held out: all or the root of a half.
    assert min(found.values()) > 0.7
    assert {(s.party, s.relation) for s in spent} >= {
        *(("alfa", r) for r in ("zeroed", "flipped", "replaced")),
        *(("tax", r) for r in ("zeroed", "absent", "replaced")),
    }


def test_samples_of_the_noise_bound_mu_from_below(audit):
    """Each bound is wrong once in 100,000 times."""
    found = sampled(audit[0], 3000, 1e-5)
    assert {s.kind for s in found} == set(shares(audit[1]))
    for s in found:
        assert s.bounds.low <= s.claimed, s
    assert max(s.bounds.low / s.claimed for s in found) > 0.8


def test_without_noise_the_audit_finds_no_bound(scratch):
    (setting,) = [s for s in SETTINGS if s.name == "own"]
    with without_noise():
        trial = Trial(setting, scratch(), 1)
        assert max(s.mu["statistics"] for s in audited(trial, 1)) == math.inf
        (found,) = sampled(trial, 2000, 1e-5)
    assert found.bounds.low > found.claimed


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
