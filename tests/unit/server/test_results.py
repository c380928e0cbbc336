"""Results: clean JSON, saved and read back, and a research run that can never pass for a private one."""

import json
import math

import numpy as np
import pytest

from fedrisk.errors import ConfigError, StoreError
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes import load_study
from fedrisk.server import results as module
from fedrisk.server.results import Results
from fedrisk.study import NO_PRIVACY

pytestmark = pytest.mark.slow


@pytest.fixture(params=["private", "research"])
def both(request, finished):
    return finished[request.param]


def test_figures_are_plain_json(both):
    metrics = both.to_dict()
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert not {"card", "network", "record"} & set(metrics)


def test_saved_and_read_back(both, tmp_path):
    both.save(tmp_path / "deep" / "out")
    back = Results.load(tmp_path / "deep" / "out")
    assert back.to_dict() == both.to_dict()
    assert vars(back).keys() == vars(both).keys()
    assert back.card.to_json() == both.card.to_json()
    assert back.record.to_bytes() == both.record.to_bytes()
    assert (back.rows, back.spends, back.sections) == (both.rows, both.spends, both.sections)
    assert sorted(f.name for f in (tmp_path / "deep" / "out").iterdir()) == [
        "disclosures.json",
        "metrics.json",
        "release_record.npz",
        "scorecard.json",
    ]


def test_a_private_run_says_what_it_cost(finished, write_consortium):
    m = finished["private"].to_dict()
    assert (m["research"], m["notice"], m["research_seed"]) == (False, None, None)
    assert m["epsilon"] == m["nominal_epsilon"] == 8.0
    assert m["epsilon_by_relation"]["zeroed"] == pytest.approx(8.0, rel=1e-6)
    for name in ("bank", "tax", "power"):
        own = [s for s in m["spends"] if s["institution"] == name]
        assert len({s["release"] for s in own}) == len(own)
        training = [s["mu"] for s in own if s["population"] == "training"]
        assert math.hypot(*training) == pytest.approx(m["mu"])  # edges, counts and Gram: the whole budget
        held = [s["mu"] for s in own if s["population"] == "holdout"]
        assert held == pytest.approx([m["mu"]])  # holders too: their records decide the scores
    assert not any(s["research"] for s in m["spends"])
    assert m["digest"] == load_study(write_consortium().study_file).digest()


def test_exact_figures_leave_a_private_run_nowhere(finished):
    m = finished["private"].to_dict()
    assert m["by_bank"] is None
    assert m["bank_alone_auc"] is None
    assert m["bank_champion_auc"] is None


def test_a_research_run_is_marked_everywhere(finished):
    m = finished["research"].to_dict()
    assert (m["research"], m["notice"], m["research_seed"]) == (True, NO_PRIVACY, 3)
    assert m["epsilon"] is None
    assert m["mu"] is None
    assert m["epsilon_by_relation"] is None
    assert m["nominal_epsilon"] == 8.0
    assert all(s["research"] for s in m["spends"])
    assert set(m["by_bank"]) == {"bank"}
    assert m["by_bank"]["bank"]["alone_auc"] == m["bank_alone_auc"] > 0.5


def test_a_research_run_leaves_the_ledgers_alone(finished):
    """The private run came first: what was left then, less its price, is left after the research run too."""
    private, research = (finished[kind].institutions["bank"].budget_left for kind in ("private", "research"))
    assert private["after"] < private["before"]
    assert research["before"] == research["after"] == private["after"]


def test_rows_and_traffic(both):
    m = both.to_dict()
    assert sum(m["rows"]["training"].values()) + sum(m["rows"]["holdout"].values()) == 400
    if m["research"]:
        assert 250 < m["rows"]["overlap"]["tax"] < 400
    else:
        assert m["rows"]["overlap"] is None  # exact, so not for a private run
    assert set(m["bytes_sent"]) == set(m["bytes_received"]) == {"bank", "tax", "power"}
    assert min(m["bytes_sent"].values()) > 1000
    assert m["exchanges"] in (11, 12)
    assert m["peak_mb"] > 10
    assert {n: i["role"] for n, i in m["institutions"].items()} == {
        "bank": "bank",
        "tax": "holder",
        "power": "holder",
    }


def test_the_study_finds_the_risk(finished):
    """Exact figures of an easy problem: the common risk explains most of the label."""
    m = finished["research"].to_dict()
    assert m["auc"] > 0.75
    assert m["gini"] == pytest.approx(2 * m["auc"] - 1)


def test_infinities_and_nan_become_null():
    dirty = {"a": math.inf, "b": [np.float64("nan"), (1.5, -math.inf)], "c": {"d": 3, "e": "x", "f": None}}
    assert module._clean(dirty) == {"a": None, "b": [None, [1.5, None]], "c": {"d": 3, "e": "x", "f": None}}


def test_missing_and_damaged_results_are_told(finished, tmp_path):
    with pytest.raises(ConfigError, match=r"metrics\.json does not exist; name the --out folder"):
        Results.load(tmp_path)
    finished["private"].save(tmp_path)
    (tmp_path / "metrics.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="is damaged .*fedrisk runs export RUN"):
        Results.load(tmp_path)
    finished["private"].save(tmp_path)
    (tmp_path / "scorecard.json").write_text('{"bins": 3}', encoding="utf-8")
    with pytest.raises(ConfigError):
        Results.load(tmp_path)


def test_a_folder_that_cannot_be_written(finished, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StoreError, match="results cannot be written to .*out"):
        finished["private"].save(tmp_path / "out")


def test_the_stored_scorecard_is_the_published_one(finished):
    card = finished["private"].card
    assert Scorecard.from_json(card.to_json()) == card
    assert card.rate == finished["private"].default_rate
