"""The external score of an earlier scorecard study as an input of the banks' network."""

import pytest

from fedrisk.errors import PeerError
from fedrisk.models.trainable import TrainedModel
from fedrisk.privacy.accounting import compose, mu_for
from fedrisk.privacy.spend import Spend

pytestmark = pytest.mark.study

BANKS = ("alfa", "beta", "gama")
POLICY = {"recipes": ["scorecard", "network"], "scores": "points", "cap_epsilon": 40.0}
NEURAL = {
    "name": "net",
    "recipe": "network",
    "network": {"kind": "logistic", "external": "whole"},
    "training": {"steps": 2},
}


def consortium(kit, folder, holders=("tax", "power")):
    study = {"privacy": {"epsilon": 3.0}, "alignment": {"inclusion_probability": 0.8}}
    return kit.build(folder, BANKS, holders, enterprises=900, policy=POLICY, study=study)


def test_the_score_is_an_input_and_its_holders_are_charged_for_it(kit, tmp_path):
    own = consortium(kit, tmp_path)
    own.run()
    run = own.run(own.with_study(**NEURAL))
    design = TrainedModel.from_bytes(run.results.network).design
    assert design["columns"][-1]["column"] == "external_score"
    spends = [Spend.from_dict(s) for s in run.results.to_dict()["spends"]]
    mu = mu_for(3.0, 1e-6)
    for holder in ("tax", "power"):
        charged = {s.release: s.mu for s in spends if s.institution == holder}
        # what is left of an enterprise at its bank is not zero when the holder's record is: twice the bound
        assert charged == pytest.approx({"external": 2 * mu, "evaluation": mu})
        entries = run.nodes[holder].ledger.entries()
        assert {e.spend.release: e.spend.mu for e in entries if e.spend.attempt == run.attempt} == charged
    own_training = [s for s in spends if s.institution == "alfa" and s.population == "training"]
    assert compose(s.mu for s in own_training) == pytest.approx(mu)


def test_without_the_earlier_study_a_bank_refuses(kit, tmp_path):
    own = consortium(kit, tmp_path)
    with pytest.raises(PeerError, match="no agreement"):
        own.run(own.with_study(**NEURAL))
    assert "has no scores of a study whole" in own.nodes["alfa"].store.errors.of(own.last.attempt)[0]["text"]


@pytest.mark.long
def test_scores_of_a_research_run_are_no_input_of_a_private_study(kit, tmp_path):
    own = consortium(kit, tmp_path)
    own.run(research_seed=1)
    with pytest.raises(PeerError, match="no agreement"):
        own.run(own.with_study(**NEURAL))
    assert "come of a research run" in own.nodes["alfa"].store.errors.of(own.last.attempt)[0]["text"]
    assert own.run(own.with_study(**NEURAL), research_seed=1).results.to_dict()["research"]


@pytest.mark.long
def test_the_score_of_a_single_holder_is_an_input_and_its_charges_are_in_the_record(kit, tmp_path):
    """Its bands follow from released numbers, so one row's score depends on no other row."""
    own = consortium(kit, tmp_path, holders=("tax",))
    own.run()
    run = own.run(own.with_study(**NEURAL))
    released = {r.name: r for r in run.results.record.releases}
    charged = {name: {s["institution"] for s in released[name].spends} for name in ("external", "evaluation")}
    assert charged == {"external": {"tax"}, "evaluation": {"tax", *run.study.banks}}
    assert all(s["release"] == r.name for r in released.values() for s in r.spends)


def test_a_holder_that_is_not_asked_for_its_charge_stops_the_banks(kit, tmp_path):
    """It is charged with the answer that confirms what is trained; without that no bank makes a step."""
    own = consortium(kit, tmp_path, holders=("tax",))
    own.run()

    def leave_out(run, step):
        if step.action == "prepare":
            step.sent.pop("tax")

    with pytest.raises((PeerError, KeyError)):
        own.run(own.with_study(**NEURAL), change=leave_out)
    made = {
        e.spend.release for e in own.nodes["alfa"].ledger.entries() if e.spend.attempt == own.last.attempt
    }
    assert not any(name.startswith("step") for name in made)
