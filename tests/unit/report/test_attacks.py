"""The page and the figures of attacks, and the command that makes them."""

import json
import math
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from fedrisk.attacks import registry
from fedrisk.attacks.attack import Effort
from fedrisk.attacks.playing import play
from fedrisk.cli import app
from fedrisk.language import speaking
from fedrisk.report.attack_page import as_plain, render, write_attacks
from fedrisk.report.attack_words import outcome_words
from support import pages
from tests.unit.attacks.test_playing import attack, figure

pytestmark = pages.NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def browser():
    yield from pages.one_browser()


def played(*figures, fails=None):
    return list(play([attack(*figures, fails=fails)], Effort(quick=True)))


HELD = (figure(0.9), figure(math.inf, control="noise"))


def page(*figures, fails=None):
    made = played(*figures, fails=fails)
    return render(as_plain(made, Effort(quick=True)), made)


def test_the_answer_comes_first():
    assert "learnt no more than is claimed" in page(*HELD)
    assert "The product gave away more than it claims: a." in page(figure(1.2), *HELD)
    assert "say nothing of the product: a." in page(figure(0.9), figure(0.5, control="noise"))
    assert "ValueError: gone" in page(*HELD, fails=ValueError("gone"))
    with speaking("zh"):
        assert "对照成功" in page(*HELD)


def test_the_page_is_readable(browser, tmp_path):
    pages.check(browser, tmp_path / "attacks.html", page(figure(1.2), *HELD))


def test_figures_for_programs_have_versions_and_no_infinity(tmp_path):
    made = played(*HELD)
    write_attacks(as_plain(made, Effort()), made, tmp_path)
    content = json.loads((tmp_path / "attacks.json").read_text())
    assert content["outcome"] == "held"
    assert {"fedrisk", "numpy", "python"} <= set(content["versions"])
    (found,) = content["attacks"]
    assert [f["verdict"] for f in found["figures"]] == ["held", "control succeeded"]
    assert found["figures"][1]["value"] == "inf"


@pytest.mark.parametrize(
    ("figures", "code"), [(HELD, 0), ((figure(1.1), *HELD), 1), ((figure(0.9, control="noise"),), 1)]
)
def test_the_command_fails_where_something_does_not_hold(monkeypatch, tmp_path, figures, code):
    monkeypatch.setattr(registry, "attacks", lambda: {"a": attack(*figures)})
    found = CliRunner().invoke(app, ["attack", "--quick", "--out", str(tmp_path / "out")])
    assert found.exit_code == code, found.output
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize("there", ["a file", "another page"])
def test_a_folder_that_cannot_take_the_page_is_named_before_anything_is_attacked(
    monkeypatch, tmp_path, there
):
    monkeypatch.setattr(registry, "attacks", lambda: {"a": attack(fails=AssertionError("it was attacked"))})
    out = tmp_path / "out"
    if there == "another page":
        out.mkdir()
    (out / "index.html" if out.exists() else out).write_text("mine")
    found = CliRunner().invoke(app, ["attack", "--quick", "--out", str(out)])
    assert found.exit_code == 3, found.output
    assert (out / "index.html" if out.is_dir() else out).read_text() == "mine"
    assert not (out / "attacks.json").exists()


def test_the_page_says_from_where_on_a_figure_counts_as_broken():
    """One try for a coin says nothing; what is exact is broken by anything above its claim."""
    coin = replace(figure(1.0, claimed=0.5), figure="accuracy", low=0.0)
    said = page(coin, *HELD)
    assert "broken above 1" in said and "not judged" in said


def test_what_is_no_evidence_is_counted_and_how_sure_intervals_are_is_said():
    coin = replace(figure(1.0, claimed=0.5), figure="accuracy", low=0.0, confidence=0.99995)
    said = page(coin, *HELD)
    assert "chance of at least 99.995%" in said and "not judged: no evidence" in said
    assert "(1 not judged)" in outcome_words(played(coin, *HELD)[0])


def test_an_attack_that_there_is_not_is_named(monkeypatch):
    found = CliRunner().invoke(app, ["attack", "audits", "--out", "x"])
    assert found.exit_code == 3
    assert "there is no attack audits" in found.output
    assert CliRunner().invoke(app, ["attack"]).exit_code == 3
    assert "audit" in CliRunner().invoke(app, ["attack", "--list"]).output
