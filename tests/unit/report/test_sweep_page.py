"""The page of a sweep, on rows that nobody ran."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest

from fedrisk.language import speaking
from fedrisk.report.sweep_figures import Scale
from fedrisk.report.sweep_page import render, write_sweep_page
from support import pages, sweep_rows
from support.unplotted import without_sweep_plots


def sweep(title=""):
    content = {"name": "try", "grid": {"data_set": ["default_credit"], "epsilon": [1.0, math.inf]}}
    return SimpleNamespace(name="try", title=title, model_dump=lambda: content)


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.fixture
def bare(monkeypatch):
    """Pages without pictures, where these are not looked at."""
    without_sweep_plots(monkeypatch)


@pytest.fixture(scope="module")
def page():
    return render(sweep_rows.rows(), sweep("Accuracy <by> epsilon"))


def test_the_answer_comes_first_with_its_interval(page):
    text = text_of(page)
    assert re.search(
        r"default_credit\. At epsilon 1 the scorecard ranks 0\.0\d\d below pooled boosting on the same rows "
        r"\(difference −0\.0\d\d to −0\.0\d\d at 95%, 3 seeds; AUC 0\.7\d\d \(0\.7\d\d to 0\.\d\d\d\)\)",
        text,
    )
    assert text.index("ranks 0.0") < text.index("AUC against epsilon")
    assert "Its banks alone, without any privacy, rank with an AUC of" in text
    assert "DP-EBM ranks best" in text


def test_the_page_stands_alone(page):
    assert "<script" not in page and "Accuracy &lt;by&gt; epsilon" in page
    assert not re.findall(r'(?:src|href)="(?!#)', page)


def test_quoted_figures_are_apart_and_dashed_lines(page):
    text = text_of(page)
    assert "Figures that others published" in text and "Maddock" in text
    assert "quoted 0.764: DP-EBM, Newton steps" in page
    table = page[page.index("All figures of default_credit") : page.index("What studies cost")]
    assert "Newton" not in table and "leaderboard" not in table


def test_who_is_protected_is_said(page):
    text = text_of(page)
    assert "Features are not protected at all" in text
    assert "one party has all rows" in text
    assert "A research run: no privacy" in text


def test_what_failed_or_was_left_out_is_listed(bare):
    table = sweep_rows.rows(seeds=(1,))
    for model, error in (("DP-EBM", "package: interpret"), ("DP naive scorecard", "baseline: ValueError")):
        at = table["model"] == model
        table.loc[at, ["auc", "auc_low", "auc_high", "seconds", "ks", "brier"]] = np.nan
        table.loc[at, "error"] = error
    text = text_of(render(table))
    assert "the package interpret is not installed" in text
    assert "fitting it failed (ValueError)" in text
    assert "one seed, so the difference has no interval" in text
    assert "the interval is that of the hold-out's rows alone" in text


def test_without_baselines_or_with_nothing_but_failures(bare):
    alone = text_of(render(sweep_rows.rows(baselines=(), seeds=(1,), data_sets=("mine",))))
    assert "At epsilon 1 the scorecard ranks with an AUC of" in alone
    assert "Figures that others published" not in alone
    table = sweep_rows.rows(baselines=(), seeds=(1,), data_sets=("mine",))
    table[[c for c in table if c.startswith(("auc", "ks", "cal", "rows", "def", "by", "sec"))]] = np.nan
    assert "No model left a figure" in text_of(render(table.assign(error="network")))


def test_a_difference_that_may_be_nothing_is_said_so(bare):
    table = sweep_rows.rows(epsilons=(math.inf,))
    text = text_of(render(table))
    assert "Without noise the scorecard" in text and "All models without noise" in text
    near = table.copy()
    at = near["model"] == "scorecard"
    near.loc[at, "auc"] = 0.775 + np.array([0.01, -0.012, 0.004])
    assert "3 seeds leave open whether it does at all" in text_of(render(near))


def test_infinity_stands_at_the_right_edge():
    scale = Scale([3.0, math.inf, 0.5, 1.0])
    places, texts = scale.ticks()
    assert sorted(zip(places, texts, strict=True))[-1][1] == "no noise"
    assert scale.place(math.inf) > scale.place(3.0) > scale.place(1.0)
    # Ticks that would stand on each other are left out.
    assert len(Scale([1.0, 1.1, 1.2, 10.0]).ticks()[0]) < 4
    assert Scale([math.inf]).ticks()[1] == ["no noise"]


def test_the_command_writes_the_page_again(fedrisk, bare, tmp_path):
    rows = sweep_rows.rows(seeds=(1,), epsilons=(1.0,), data_sets=("mine",))
    rows.to_parquet(tmp_path / "results.parquet")
    first = write_sweep_page(tmp_path, rows, None).read_bytes()
    (tmp_path / "index.html").unlink()
    code, out, _ = fedrisk("report", "sweep", tmp_path)
    assert code == 0 and "index.html" in out
    assert (tmp_path / "index.html").read_bytes() == first
    (tmp_path / "results.parquet").write_bytes(b"rubbish")
    code, _, err = fedrisk("report", "sweep", tmp_path)
    assert code != 0 and "no results.parquet that can be read" in err


@pages.NEEDS_CHROMIUM
@pytest.mark.parametrize("code", [pytest.param("en", marks=pytest.mark.long), "zh"])
def test_the_page_is_readable(browser, tmp_path, code):
    rows = sweep_rows.rows(
        recipes=("scorecard", "network"),
        epsilons=(0.1, 0.5, 1.0, 3.0, 8.0, math.inf),
        seeds=(1, 2),
        bins=(None, 8),
    )
    with speaking(code):
        pages.check(browser, tmp_path / "page.html", render(rows, sweep()))


def test_a_reference_that_others_beat_is_not_called_the_best(bare, page):
    assert "Of models without privacy" not in text_of(page)
    table = sweep_rows.rows(seeds=(1, 2), simulated=True)
    table.loc[table["model"] == "pooled logistic regression", "auc"] += 0.1
    text = text_of(render(table))
    assert (
        "Of models without privacy on pooled rows, pooled logistic regression ranks best, with an AUC of 0.8"
        in text
    )
    assert re.search(r"30,000 enterprises with a label, 6,\d{3} to 6,\d{3} of them defaults", text)
