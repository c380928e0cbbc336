"""Trained encoders in a store: what is installed, in place of what, and what is refused."""

import math

import numpy as np
import pytest

from fedrisk.errors import ConfigError, PolicyError
from fedrisk.models.histories import EncoderRule
from fedrisk.models.installed_encoders import InstalledEncoders
from fedrisk.models.trainable import TrainedModel
from fedrisk.report.words import sentence

SERIES = [{"name": "kwh", "unit": "kWh", "low": 0, "high": 10}]


@pytest.fixture
def store(tmp_path):
    rule = EncoderRule.model_validate({"name": "load", "months": 6, "series": SERIES})
    return InstalledEncoders("own", tmp_path / "encoders", (rule,))


def trained(store, first=0.0, **about):
    facts = {"study": "s", "digest": "d", "mu": 0.6, "delta": 1e-6, "research": False, **about}
    store.save("load", TrainedModel(np.full(2, first, np.float32), {}, facts))


def test_nothing_is_installed_at_first(store):
    assert store.load("load") is store.file("load") is None
    assert not store.states()[0].trained
    with pytest.raises(ConfigError, match=r"institution own has no encoder lod \(it has: load\)"):
        store.rule("lod")


def test_one_of_a_research_run_never_replaces_a_private_one(store):
    """A private one, on the other hand, takes the place of both."""
    trained(store, 1.0, research=True)
    assert store.load("load").weights[0] == 1.0
    trained(store, 2.0)
    trained(store, 3.0, research=True)
    assert store.load("load").weights[0] == 2.0
    trained(store, 4.0)
    assert store.load("load").weights[0] == 4.0
    assert [f.name for f in store.folder.iterdir()] == ["load.npz"]


@pytest.mark.parametrize("about", [{"research": True}, {"mu": None}, {"mu": math.inf}])
def test_an_encoder_without_privacy_is_for_research_runs_only(store, about):
    trained(store, **about)
    store.refuse_without_privacy(research=True)
    with pytest.raises(PolicyError, match=r"encoder load was trained without privacy .* train it again"):
        store.refuse_without_privacy(research=False)
    assert "research runs only" in sentence(store.states()[0].finding)


def test_how_an_encoder_was_trained_must_be_told(store):
    with pytest.raises(ConfigError, match="about lacks delta, digest, mu, research"):
        store.save("load", TrainedModel(np.zeros(2, np.float32), {}, {"study": "s"}))
