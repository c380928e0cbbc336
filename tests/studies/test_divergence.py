"""Training that diverges: stopped by released numbers, said with what was charged, and no model is left of it."""

import json
import math

import numpy as np
import pytest

from fedrisk.engine.in_process import run_local
from fedrisk.errors import ConfigError, TrainingError
from fedrisk.models.trainable import MOST_WEIGHT, TrainedModel
from support.long import sampled

pytestmark = pytest.mark.study

WILD = {"learning_rate": 1000.0, "clip": 1024.0}


def consortium(kit, folder, banks=("alfa",), epsilon=8.0, **training):
    study = {
        "recipe": "network",
        "network": {"kind": "logistic"},
        "training": {"steps": 3, **training},
        "expected": {"default_rate": 0.2},
        "privacy": {"epsilon": epsilon},
    }
    return kit.build(folder, banks, (), enterprises=600, policy={"recipes": ["network"]}, study=study)


@pytest.mark.parametrize("seed", sampled([None, 1], 2))
@pytest.mark.parametrize(
    ("banks", "training"),
    sampled(
        [
            (("alfa",), {**WILD, "optimiser": "momentum"}),
            (("alfa", "beta"), {**WILD, "optimiser": "sgd"}),
            (("alfa",), {"learning_rate": 1000.0, "clip": 100.0, "mode": "silo", "local_steps": 100}),
            (("alfa", "beta"), {**WILD, "mode": "silo", "local_steps": 50, "proximal": 1e9}),
            (("alfa",), {**WILD, "steps": 1, "epsilon": 0.1}),  # the last step is looked at as well
        ],
        3,
    ),
)
def test_what_diverges_is_stopped_and_leaves_nothing_but_its_price(kit, tmp_path, banks, training, seed):
    own = consortium(kit, tmp_path, banks, **training)
    if training.get("proximal"):
        # So strong a pull keeps local steps at the shared model: nothing diverges, and nothing overshoots.
        run = own.run(research_seed=seed)
        assert np.abs(TrainedModel.from_bytes(run.results.network).weights).max() < 1
        return
    with pytest.raises(TrainingError, match=r"diverged in step \d of \d.*learning_rate.*clip") as caught:
        run_local(own.study, own.paths, hub=own.hub, research_seed=seed)
    text = str(caught.value)
    assert (
        "left no model" in text and "stays charged" in text and "training.learning_rate (it is 1e+03)" in text
    )
    for name, node in own.nodes.items():
        charged = {e.spend.release for e in node.ledger.entries()}
        assert "step_0" in charged and "evaluation" not in charged, name
        # No result, and no secret of the attempt.
        assert not list((node.store.path / "results").glob("*/*"))
    # It would diverge again from the same totals: nothing is kept to go on from.
    assert not list((own.hub.path / "runs").glob("*/journal"))
    with pytest.raises(ConfigError, match="without --resume"):
        run_local(own.study, own.paths, hub=own.hub, research_seed=seed, resume=True)


def test_no_trainer_is_sent_weights_that_diverged_the_last_step_among_them(kit, tmp_path):
    own = consortium(kit, tmp_path, **WILD)
    with pytest.raises(TrainingError):
        own.run(research_seed=1)
    sent = [s.sent["alfa"].array("weights") for s in own.last.steps if s.action == "step"]
    assert sent and all((np.abs(weights) <= MOST_WEIGHT).all() for weights in sent)
    assert "conclude" not in [s.action for s in own.last.steps]


@pytest.mark.parametrize("rate", [1e30, 1e6, math.inf, -1.0, 0.0, math.nan])
def test_absurd_rates_are_refused_with_the_study(kit, tmp_path, rate):
    own = consortium(kit, tmp_path)
    with pytest.raises(ConfigError, match=r"training.learning_rate = .* is out of range \(0, 1000\]"):
        own.with_study(training={"learning_rate": rate})


@pytest.mark.parametrize(("rate", "said"), [(100.0, False), (1000.0, True)])
def test_what_comes_to_an_end_with_probabilities_of_no_use_says_so(kit, tmp_path, rate, said):
    """Gradients are clipped, so a high rate alone makes long steps and no divergence: the order may even be right."""
    own = consortium(kit, tmp_path, learning_rate=rate, steps=6)
    run = own.run(research_seed=1)
    assert run.results.auc > 0.7
    found = {f.code: f for f in run.results.findings}
    assert ("training_extreme" in found) is said
    assert not said or found["training_extreme"].values["odds"] > 10
    json.dumps(run.results.to_dict())


def test_adam_takes_a_proposal_for_a_direction_whatever_the_rate(kit, tmp_path):
    own = consortium(kit, tmp_path, **WILD, optimiser="adam")
    run = own.run(research_seed=1)
    assert np.abs(TrainedModel.from_bytes(run.results.network).weights).max() < 2
    assert "training_extreme" not in {f.code for f in run.results.findings}
