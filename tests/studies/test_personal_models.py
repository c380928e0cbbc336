"""A bank's own model near the scorecard of several banks and data holders."""

import json
import math

import pytest

pytestmark = pytest.mark.study


@pytest.fixture(scope="module")
def run(kit, scratch):
    study = {"privacy": {"epsilon": math.inf}, "alignment": {"inclusion_probability": 1.0}}
    policy = {"recipes": ["scorecard"]}
    own = kit.build(
        scratch(), ("alfa", "beta"), ("tax", "power"), enterprises=6000, policy=policy, study=study
    )
    return own.run(research_seed=1)


def test_it_keeps_what_the_holders_say(run):
    """Without the holders' part it would be no better than the bank's own columns alone allow."""
    for bank in ("alfa", "beta"):
        folder = run.nodes[bank].store.results(run.attempt)
        figures = json.loads((folder / "own_figures.json").read_text())
        assert figures["bank_personal_auc"] > figures["bank_alone_auc"] + 0.02
        assert figures["bank_personal_auc"] == pytest.approx(figures["scorecard_auc"], abs=0.02)
        assert {"personal_probability", "best_probability"} <= {*run.scores(bank).columns}
    assert run.results.to_dict()["by_bank"]["alfa"]["personal_auc"] is not None


def test_it_is_for_studies_of_several_banks(kit, tmp_path):
    own = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    assert "personal_probability" not in own.run().scores("alfa").columns
