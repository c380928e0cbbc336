"""Recipes: their settings are checked and filled in, and what is not installed is named."""

import pytest

from fedrisk import recipe as module
from fedrisk.errors import ConfigError
from fedrisk.recipes import RECIPES, network, scorecard
from fedrisk.study import study_from

PLAIN = {
    "name": "s",
    "purpose": "p",
    "privacy": {"epsilon": 1.0},
    "institutions": [{"name": "b1", "role": "bank"}],
}


def test_names_are_those_of_study_files():
    assert [r.name for r in RECIPES] == ["scorecard", "network", "encoder", "statistics"]


def test_what_is_not_installed_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "opacus" else object())
    with pytest.raises(ConfigError, match=r"network needs opacus.*pip install fedrisk\[neural\]"):
        network.RECIPE.require()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs torch, opacus, onnx, which"):
        network.RECIPE.require()
    scorecard.RECIPE.require()  # needs none of them


def test_settings_are_checked_and_filled_in_once():
    checked = scorecard.RECIPE.checked(study_from(PLAIN))
    assert dict(checked.settings) == {"gram_rows": 200_000}
    assert scorecard.RECIPE.checked(checked) == checked
    with pytest.raises(ConfigError, match=r"here, section \[scorecard\], breaks 1 rule.*\n  gram_rows: "):
        scorecard.RECIPE.checked(study_from({**PLAIN, "scorecard": {"gram_rows": 1}}), where="here")
    with pytest.raises(ConfigError, match=r"^here breaks 1 rule\(s\):\n  \[training\] is for recipes"):
        scorecard.RECIPE.checked(study_from({**PLAIN, "training": {"steps": 2}}), where="here")
