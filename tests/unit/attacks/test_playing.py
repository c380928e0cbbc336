"""Attacks are played in folders and homes of their own; what they leave says whether the product held."""

import os

from fedrisk.attacks.attack import Attack, Effort, Measured
from fedrisk.attacks.audit_settings import SETTINGS
from fedrisk.attacks.playing import play
from fedrisk.attacks.registry import attacks
from fedrisk.recipes import RECIPES


def figure(low, *, claimed=1.0, control=""):
    return Measured(
        attack="a",
        target="x",
        figure="mu",
        value=low,
        low=low,
        high=low,
        claimed=claimed,
        control=control,
        trials=1,
        method="nobody (2000)",
    )


def attack(*figures, fails=None):
    def run(folder, effort):
        assert os.environ["FEDRISK_HOME"] == str(folder / "home")
        assert not list(folder.iterdir())
        (folder / "left").write_text("x")
        yield from figures
        if fails is not None:
            raise fails

    return Attack(name="a", attacker="somebody", wants="something", sources=(), run=run)


def outcome(*figures, fails=None):
    (played,) = play([attack(*figures, fails=fails)], Effort())
    return played.outcome


def test_what_is_held_broken_and_not_finished():
    succeeded, failed = figure(2.0, control="noise"), figure(1.0, control="noise")
    assert outcome(figure(1.0), succeeded) == "held"
    assert outcome(figure(1.1), succeeded) == "broken"
    assert outcome(figure(1.0), failed) == "control failed"
    assert outcome(figure(1.0), succeeded, fails=ValueError("x")) == "failed"
    assert outcome() == "failed"
    # What broke before the error counts all the same.
    assert outcome(figure(1.1), fails=ValueError("x")) == "broken"


def test_homes_are_put_back_and_folders_are_gone(monkeypatch, tmp_path):
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "mine"))
    seen = []
    (played,) = play([attack(figure(1.0), fails=ValueError("two\nlines"))], Effort(), measured=seen.append)
    assert os.environ["FEDRISK_HOME"] == str(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    assert played.failed == "ValueError: two"
    assert [f.value for f in seen] == [1.0]


def test_every_attack_says_in_words_what_it_is():
    for name, found in attacks().items():
        assert name == found.name
        assert found.attacker and found.wants and found.sources


def test_every_recipe_is_audited():
    assert {setting.recipe for setting in SETTINGS} == {recipe.name for recipe in RECIPES}
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
    # Also the quick audit goes through all of them.
    assert {s.recipe for s in SETTINGS if s.quick} == {recipe.name for recipe in RECIPES}
