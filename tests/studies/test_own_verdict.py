"""What a bank's own hold-out says stays at the bank; what released numbers say stands first in everybody's report."""

import html
import json

import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from fedrisk.cli import app
from fedrisk.report.html import render

pytestmark = pytest.mark.study


@pytest.fixture(scope="module")
def run(kit, scratch):
    study = {"privacy": {"epsilon": 8.0}, "alignment": {"inclusion_probability": 1.0}}
    built = kit.build(scratch(), ("alfa",), ("tax", "power"), enterprises=3000, study=study)
    return built, built.run()


def test_a_bank_reads_its_own_verdict(run):
    built, done = run
    kept = json.loads((done.nodes["alfa"].store.results(done.attempt) / "own_figures.json").read_text())
    verdict = kept["verdict"]
    assert set(verdict["models"]) == {"scorecard", "recalibrated", "alone", "champion"}
    assert verdict["models"]["scorecard"]["auc"] == pytest.approx(kept["scorecard_auc"])
    assert verdict["models"]["champion"]["auc"] == pytest.approx(kept["bank_champion_auc"])
    gap = verdict["against_own"]["scorecard"]["auc"]
    assert gap["value"] == pytest.approx(kept["scorecard_auc"] - kept["bank_alone_auc"])
    assert gap["low"] < gap["value"] < gap["high"]
    assert verdict["use"] in verdict["models"]
    shown = CliRunner().invoke(app, ["own", str(built.paths["alfa"])])
    assert shown.exit_code == 0
    assert done.attempt in shown.output
    assert "Use " in shown.output
    assert "own hold-out" in shown.output
    as_json = CliRunner().invoke(app, ["own", str(built.paths["alfa"]), "--json"])
    assert json.loads(as_json.output)["verdict"] == verdict
    other = CliRunner().invoke(app, ["own", str(built.paths["tax"])])
    assert other.exit_code != 0


def test_the_banks_page_has_figures_of_its_rows_and_of_nobody_elses_store(run, tmp_path):
    """It is made while the stores of the other institutions and of the hub are away."""
    built, done = run
    own, page = built.paths["alfa"], tmp_path / "alfa.html"
    asked = ["report", "bank", str(own), done.attempt[:8], "--out", str(page)]
    others = [*(node.store.path for name, node in done.nodes.items() if name != "alfa"), done.hub.path]
    moved = [path.rename(tmp_path / f"{path.name}.away") for path in others]
    try:
        shown = CliRunner().invoke(app, asked)
        as_json = CliRunner().invoke(app, [*asked, "--json"])
    finally:
        for there, path in zip(moved, others, strict=True):
            there.rename(path)
    assert shown.exit_code == 0 and page.stat().st_mode & 0o777 == 0o600
    figures = json.loads(as_json.output)
    rows = done.scores("alfa").query("split == 'holdout'")
    text = html.unescape(page.read_text(encoding="utf-8"))
    for one in figures["models"]:
        column = "probability" if one["name"] == "scorecard" else f"{one['name']}_probability"
        auc = roc_auc_score(rows["label"], rows[column])
        assert one["roc"]["auc"]["value"] == pytest.approx(auc) and f"{auc:.3f}" in text
    assert done.attempt in text and f"of {len(rows):,} customers" in text
    other = CliRunner().invoke(app, ["report", "bank", str(built.paths["tax"])])
    assert other.exit_code != 0 and "keeps figures of no study" in other.output
    # A model that is not there.
    wrong = CliRunner().invoke(app, [*asked, "--model", "personal"])
    assert wrong.exit_code != 0


def test_nothing_of_it_leaves(run):
    _, done = run
    said = json.dumps([{n: dict(a.body) for n, a in s.answers.items()} for s in done.steps])
    assert "own_" not in said
    assert "_auc" not in said


def test_what_released_numbers_say_stands_first_in_the_report(run):
    _, done = run
    first = done.results.verdict[0]
    assert first.code in ("card_worth", "card_doubtful", "card_worthless")
    assert any(f.code.startswith("probabilities_") for f in done.results.verdict)
    assert first.values["auc"] == pytest.approx(done.results.auc, abs=0.1)
    page = render(done.results)
    assert page.index('class="verdict') < page.index('class="tile"')
    assert done.results.to_dict()["verdict"][0]["code"] == first.code
    assert done.results.expectation.code == "gain_between"
