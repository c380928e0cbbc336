"""Studies on public data sets, with the files of configs/, where FEDRISK_DATA names the folder that holds them."""

import os
from pathlib import Path

import pytest

from fedrisk.engine.in_process import run_local
from fedrisk.institution import find_institutions
from fedrisk.recipes import load_study

CONFIGS = Path(__file__).parents[2] / "configs"
DATA = os.environ.get("FEDRISK_DATA")
FILES = {
    "default_credit": "default_credit/uci_credit_card.csv",
    "default_credit_three": "default_credit/uci_credit_card.csv",
    "sba": "sba/sba_7a_loans.csv",
}
pytestmark = [
    pytest.mark.study,
    pytest.mark.skipif(
        not DATA, reason="FEDRISK_DATA is not set: export FEDRISK_DATA=/folder/with/default_credit/and/sba"
    ),
]


def run(name, *overrides):
    """The study of that name with repeatable noise."""
    file = CONFIGS / f"{name}.toml"
    table = Path(DATA or ".") / FILES[name]
    if not table.is_file():
        pytest.skip(f"{table} does not exist; see configs/institutions for the source of the data")
    study = load_study(file, list(overrides))
    return run_local(study, find_institutions(file, study.members), research_seed=0).to_dict()


def test_default_credit_gains_over_the_bank_alone_at_epsilon_one():
    """Two parties, all noise of the protocol: the figures that the documentation promises, with room for a split."""
    metrics = run("default_credit", "privacy.epsilon=1.0")
    assert metrics["auc"] >= 0.755
    assert metrics["bank_champion_auc"] > metrics["bank_alone_auc"] + 0.02
    assert metrics["exchanges"] <= 12
    assert metrics["second_release"] == "gram"
    assert sum(metrics["rows"]["training"].values()) + sum(metrics["rows"]["holdout"].values()) == 30_000
    assert metrics["default_rate"] == pytest.approx(0.2212, abs=0.01)
    assert metrics["research"] and metrics["nominal_epsilon"] == 1.0 and metrics["epsilon"] is None


@pytest.mark.long
def test_default_credit_in_three_parts():
    metrics = run("default_credit_three")
    assert metrics["auc"] >= 0.74
    assert metrics["exchanges"] <= 12
    assert metrics["rows"]["overlap"] == {"card3_bureau": 30_000, "card3_registry": 30_000}


@pytest.mark.long
def test_six_lenders():
    """Banks alone, the same columns at each: no holder, so there is no exchange of masks."""
    metrics = run("sba")
    assert metrics["exchanges"] <= 9
    assert len(metrics["rows"]["training"]) == 6 and len(metrics["by_bank"]) == 6
    assert metrics["auc"] > 0.65
