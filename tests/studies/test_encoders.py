"""Two tax offices train one sequence encoder on their own histories; its outputs are columns of a scorecard study."""

import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients import own_results
from fedrisk.errors import PeerError, PolicyError
from fedrisk.institution import load_institution
from fedrisk.models.encoder import EncoderDesign, EncoderTrainee, initial_weights
from fedrisk.models.trainable import TrainedModel
from fedrisk.privacy.accounting import compose, mu_for
from fedrisk.privacy.spend import Spend
from fedrisk.recipes import recipe_named
from fedrisk.secure.fixed_point import dequantise

pytestmark = pytest.mark.study

OFFICES = ("tax", "power")  # two holders of the kit, here with the same histories' form
SERIES = [
    {"name": "invoices", "unit": "invoices", "low": 0, "high": 5000},
    {"name": "amount", "unit": "yuan", "low": 0, "high": 10_000_000},
]
POLICY = {"recipes": ["scorecard", "encoder"]}
STUDY = {
    "recipe": "encoder",
    "encoder": {"name": "months"},
    "training": {"steps": 2},
    "alignment": {"inclusion_probability": 1.0},
}


def histories(ids, seed):
    """Eighteen months of two series, some gaps; wide, one row an enterprise."""
    rng = np.random.default_rng(seed)
    n = len(ids)
    level = rng.normal(size=(n, 1)) + np.cumsum(0.2 * rng.normal(size=(n, 18)), axis=1)
    columns = {"id": ids}
    for name, scale in (("invoices", 20.0), ("amount", 20_000.0)):
        values = scale * np.exp(level + 0.2 * rng.normal(size=(n, 18)))
        values[rng.random((n, 18)) < 0.05] = np.nan
        columns |= {f"{name}_m{t + 1:02d}": values[:, t].astype(np.float32) for t in range(18)}
    return pd.DataFrame(columns)


def offices(kit, folder, *, banks=(), study=None, policy=None):
    own = kit.build(folder, banks, OFFICES, enterprises=700, policy=policy or POLICY, study=study or STUDY)
    for k, name in enumerate(OFFICES):
        histories(own.tables[name]["id"].to_numpy(), k).to_parquet(
            folder / f"{name}_months.parquet", index=False
        )
        own.content[name]["encoders"] = [
            {
                "name": "months",
                "outputs": 3,
                "histories": {"source": f"{name}_months.parquet"},
                "series": SERIES,
            }
        ]
        own.write(name)
    return own


@pytest.fixture(scope="module")
def trained(kit, scratch):
    folder = scratch()
    own = offices(kit, folder)
    return own, own.run()


def test_without_noise_a_step_is_the_exact_sum_of_all_offices(kit, tmp_path):
    own = offices(kit, tmp_path)
    run = own.run(own.with_study(privacy={"epsilon": math.inf}), research_seed=1)
    design = EncoderDesign.from_dict(TrainedModel.from_bytes(run.results.network).design)
    total = np.zeros(design.size, np.int64)
    for name in OFFICES:
        institution = load_institution(own.paths[name])
        rows = run.roster.lists[name]
        ids = institution.read().ids
        used = run.nodes[name].store.attempt(run.attempt)
        order = used.row_order(len(ids))
        mine = ids[order][rows.rows[rows.use == 0]]
        total += EncoderTrainee(design, institution.encoder_histories("months", mine)).clipped_sum(
            initial_weights(design, 1), run.results.to_dict()["training"]["clip"], 24
        )
    told = run.results.to_dict()["training"]["norms"][0]
    assert told == pytest.approx(
        float(np.linalg.norm(dequantise(total))) / sum(run.roster.training.values()), rel=1e-4
    )


def test_every_office_has_the_same_encoder_and_its_columns(trained):
    own, _ = trained
    weights = {}
    for name in OFFICES:
        institution = load_institution(own.paths[name])
        weights[name] = institution.installed.load("months").weights
        table = institution.read()
        columns = table.frame[["months_1", "months_2", "months_3"]]
        assert columns.abs().max().max() <= 1
        assert columns.notna().mean().min() > 0.9
        assert columns.std().min() > 0.01
    assert np.array_equal(weights["tax"], weights["power"])


def test_the_training_is_charged_to_each_office(trained):
    _, run = trained
    spends = [Spend.from_dict(s) for s in run.results.to_dict()["spends"]]
    for name in OFFICES:
        own = [s for s in spends if s.institution == name]
        assert compose(s.mu for s in own) == pytest.approx(mu_for(8.0, 1e-6), rel=1e-9)
        assert run.nodes[name].ledger.left() < mu_for(20.0, 1e-6)  # the policy's cap


def test_a_scorecard_uses_the_columns(kit, tmp_path):
    own = offices(kit, tmp_path, banks=("alfa",), study={"name": "card"})
    members = [{"name": n, "role": "holder"} for n in OFFICES]
    encoder = own.with_study(**STUDY, name="encoder", institutions=members)
    for name in OFFICES:
        assert "months_1" not in load_institution(own.paths[name]).read().frame
    own.run(encoder)
    run = own.run()
    used = {b["column"] for b in run.card["bins"]}
    assert {"months_1", "months_2", "months_3", "sales", "usage"} <= used


@pytest.mark.long
def test_an_encoder_of_a_research_run_feeds_no_private_study(kit, tmp_path):
    own = offices(kit, tmp_path, banks=("alfa",), study={"name": "card"})
    members = [{"name": n, "role": "holder"} for n in OFFICES]
    own.run(own.with_study(**STUDY, name="encoder", institutions=members), research_seed=1)
    with pytest.raises(PolicyError, match="encoder months"):
        load_institution(own.paths["tax"]).installed.refuse_without_privacy(research=False)
    with pytest.raises(PeerError, match="refused"):
        own.run()
    assert own.run(research_seed=2).results.to_dict()["research"]


def test_offices_with_different_encoders_cannot_train_together(kit, tmp_path):
    own = offices(kit, tmp_path)
    own.content["power"]["encoders"][0]["outputs"] = 2
    own.write("power")
    with pytest.raises(Exception, match="state different encoders"):
        own.run()


def test_a_single_office_needs_no_masks(kit, tmp_path):
    own = offices(kit, tmp_path)
    members = [{"name": "tax", "role": "holder"}]
    run = own.run(own.with_study(institutions=members))
    assert "shares" not in [s.action for s in run.steps]
    assert load_institution(own.paths["tax"]).installed.load("months") is not None


def test_an_encoder_that_cannot_be_installed_is_fetched_later(kit, tmp_path):
    own = offices(kit, tmp_path)
    node = own.nodes["tax"]
    blocked = node.store.path / "encoders"

    def full(record, step):
        if step.action == "conclude":
            blocked.write_text("in the way")

    with pytest.raises(PeerError, match="tax"):
        own.run(change=full)
    attempt = own.last.attempt
    assert own_results.entry_of(node, attempt).owed
    before = {name: n.ledger.spent() for name, n in own.nodes.items()}
    blocked.unlink()
    own_results.fetch(node, attempt, recipe_named("encoder"))
    assert load_institution(own.paths["tax"]).installed.load("months") is not None
    assert {name: n.ledger.spent() for name, n in own.nodes.items()} == before
    assert not own_results.entry_of(node, attempt).owed
