"""A bank's own model near the scorecard of several banks and data holders."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients import own_results

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


@pytest.mark.long
def test_it_is_for_studies_of_several_banks(kit, tmp_path):
    own = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    assert "personal_probability" not in own.run().scores("alfa").columns


OWN = {"recalibrated", "alone", "champion", "personal", "best"}


@pytest.mark.long
def test_columns_of_any_kind_cost_no_model_and_no_scores(kit, tmp_path):
    """A column that is empty at one bank, and one whose name was once kept for the holders' score."""
    extra = {"name": "external_score", "kind": "number", "low": 0, "high": 1}
    columns = {**kit.COLUMNS, "bank": [*kit.COLUMNS["bank"], extra]}
    tables = kit.province(1500)
    for bank in ("alfa", "beta"):
        tables[bank]["external_score"] = np.linspace(0, 1, len(tables[bank]))
    tables["alfa"]["debt"] = np.nan
    own = kit.build(tmp_path, ("alfa", "beta"), ("tax",), tables=tables, columns=columns)
    run = own.run()
    for bank in ("alfa", "beta"):
        assert {f"{m}_probability" for m in OWN} <= {*run.scores(bank).columns}
        told = json.loads((run.nodes[bank].store.results(run.attempt) / "own_models.json").read_text())
        assert told["absent"] == [] and set(told["weights"]["champion"]) == {"alone", "boosted", "near"}
        assert not run.nodes[bank].store.errors.of(run.attempt)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seed", [None, 4])
def test_scores_are_there_whatever_becomes_of_the_banks_own_models(kit, tmp_path, monkeypatch, seed):
    def fails(*a, **k):
        raise MemoryError("boosting")

    monkeypatch.setattr("fedrisk.models.champion.fit_champion", fails)
    own = kit.build(tmp_path, ("alfa", "beta"), ("tax",), enterprises=1500)
    run = own.run(research_seed=seed)
    scores = run.scores("alfa")
    assert len(scores) == len(own.tables["alfa"]) and scores["probability"].between(0, 1).all()
    assert "alone_probability" not in scores and "recalibrated_probability" in scores
    folder = run.nodes["alfa"].store.results(run.attempt)
    assert json.loads((folder / "own_models.json").read_text())["absent"] == ["alone", "boosted"]
    assert {e["action"] for e in run.nodes["alfa"].store.errors.of(run.attempt)} == {
        "own model alone",
        "own model boosted",
    }
    assert (folder / "scorecard.json").exists()


def test_scores_are_written_before_any_model_of_the_banks_own(kit, tmp_path, monkeypatch):
    def fails(*a, **k):
        raise RuntimeError("out of everything")

    monkeypatch.setattr("fedrisk.recipes.scorecard.own_models.own_models", fails)
    own = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    run = own.run()
    assert len(run.scores("alfa")) == len(own.tables["alfa"])


def test_banks_without_holders_get_a_champion_that_hears_the_card(kit, tmp_path):
    own = kit.build(tmp_path, ("alfa", "beta"), (), enterprises=1500)
    run = own.run()
    scores = run.scores("alfa")
    assert {f"{m}_probability" for m in OWN} <= {*scores.columns}
    assert not np.allclose(scores["champion_probability"], scores["alone_probability"])


def test_no_own_model_is_fitted_before_the_last_answer_has_left(kit, tmp_path, monkeypatch):
    """Its time would tell of single labels; what it is fitted from stays until the study is over."""
    from fedrisk.clients.own_work import complete, due
    from fedrisk.recipes import recipe_named
    from fedrisk.recipes.scorecard import delivery

    fitted, real = [], delivery.own_fit
    monkeypatch.setattr(delivery, "own_fit", lambda *a: fitted.append(a[0].state.over) or real(*a))
    built = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    run = built.run(own=False)
    node = built.nodes["alfa"]
    entry = own_results.entry_of(node, run.attempt)
    assert not fitted and entry.owed and entry.rows == len(built.tables["alfa"]) and not entry.models
    before, scores = node.ledger.spent(), own_results.scores(node, entry)
    run.exchange.close()
    assert due(node) == [run.attempt]
    complete(node, run.attempt, recipe_named)
    assert fitted == [True] and not due(node)
    entry = own_results.entry_of(node, run.attempt)
    assert {"alone", "champion"} <= {*entry.models} and not entry.owed and not entry.failed
    pd.testing.assert_frame_equal(own_results.scores(node, entry)[[*scores]], scores)
    assert node.ledger.spent() == before
    folder = node.store.path / "attempts" / run.attempt
    assert not (folder / "secrets").exists() and not list(folder.glob("*.npy"))
