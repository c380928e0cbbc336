"""The page of privacy and accuracy says what its results say, and its figures are what the sweeps' tables make."""

import html
import json

import pandas as pd
import pytest

from benchmarks.privacy_accuracy import page, picture, summary, tables

RESULTS = page.results()


def test_the_page_is_what_results_make():
    assert page.PAGE.read_text("utf-8") == page.made(), "run python -m benchmarks.privacy_accuracy.page"


def test_the_picture_is_of_these_results():
    text = page.PICTURE.read_text("utf-8")
    assert html.escape(picture.said(RESULTS)) in text, "run python -m benchmarks.privacy_accuracy.page"
    assert "DP-EBM, one trusted party" in text and len(text) < 40_000


@pytest.mark.parametrize(
    "place", ["{auc|no_set|scorecard|1}", "{table|nothing}", "{claim|gain|before|nothing}"]
)
def test_a_figure_that_is_not_there_is_an_error(place):
    with pytest.raises(KeyError):
        page.filled(place, RESULTS)


def line(model, auc, *, cell="a", seed=1, epsilon=1.0, kind="study", private=False, holdout=3_000):
    return {
        "cell": cell, "data_set": "set", "epsilon": epsilon, "seed": seed, "kind": kind, "model": model,
        "private": private, "label_private": False, "auc": auc, "auc_low": auc - 0.01, "auc_high": auc + 0.01, "calibration_slope": 1.0, "error": None,
        "rows_training": 7_000, "rows_holdout": holdout, "defaults_training": 70, "defaults_holdout": 30,
        "mu": 0.2367, "delta": 1e-6, "data_digest": "d", "bytes": 2e6, "exchanges": 12, "seconds": 1.0,
    }  # fmt: skip


def test_differences_are_of_the_same_hold_out_and_levels_are_counted_once():
    rows = pd.DataFrame(
        [
            line("scorecard", 0.75, private=True),
            line("bank alone", 0.70),
            line("pooled boosting", 0.77, kind="baseline"),
            line("scorecard", 0.78, cell="b", seed=2, private=True),
            line("bank alone", 0.75, cell="b", seed=2),
            line("pooled boosting", 0.81, cell="b", seed=2, kind="baseline"),
            line("pooled boosting", 0.77, cell="c", epsilon=3.0, kind="baseline"),
        ]
    )
    models = summary.data_sets(rows)["set"]["models"]
    assert models["scorecard"]["1"]["to_alone"][0] == pytest.approx(0.04)
    assert models["scorecard"]["1"]["to_boosting"][0] == pytest.approx(-0.025)
    assert models["pooled boosting"]["any"]["seeds"] == 2
    assert models["pooled boosting"]["any"]["auc"][0] == pytest.approx(0.79)
    # Student's t with one degree of freedom, 12.706, times s = .0212 and the root of 1/2 + 3/7.
    low = models["scorecard"]["1"]["auc"][1]
    assert low == pytest.approx(0.765 - 12.7062 * 0.0212132 * (1 / 2 + 3 / 7) ** 0.5, abs=1e-4)


def test_a_gain_is_the_mean_of_banks_by_their_defaults():
    banks = {name: {"defaults": n, "against_own": {"scorecard": {"auc": {"value": v}}}, "use": use}
             for name, n, v, use in (("a", 10, 0.1, "scorecard"), ("b", 30, -0.1, "alone"))}  # fmt: skip
    assert summary.gain_of(banks) == pytest.approx(-0.05)
    found = summary.after(pd.DataFrame([line("scorecard", 0.75, private=True)]), {"a": banks})["set"]["1"]
    assert (found["verdicts"], found["card_below"]) == (2, 1)
    assert found["use"] == {"alone": 1, "champion": 0, "personal": 0, "scorecard": 1}
    assert summary.foreseen({"set": {"1": {"low": -0.1, "high": 0.0}}}, {"set": {"1": found}}) == {
        "within": 1,
        "of": 1,
    }


def test_verdicts_are_taken_over_from_stores_by_cell_and_bank(tmp_path):
    file = (
        tmp_path
        / "stores"
        / "cell1-99"
        / "institutions"
        / "bank"
        / "results"
        / "attempt"
        / "own_figures.json"
    )
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"verdict": {"use": "alone"}}))
    kept = tmp_path / "verdicts.json"
    summary.gather(tmp_path / "stores", kept)
    # The stores are gone at the next call.
    summary.gather(tmp_path / "nothing", kept)
    assert json.loads(kept.read_text()) == {"cell1": {"bank": {"use": "alone"}}}


def test_numbers_are_written_as_on_other_pages():
    assert (tables.short(0.75), tables.short(-0.0312, "+.3f"), tables.short(0.547, ".1%")) == (
        ".750",
        "−.031",
        "54.7 %",
    )
    assert tables.with_interval({"auc": [0.75, 0.7, 0.8]}, "auc") == ".750 ± .050"
    assert tables.with_interval({"auc": [0.75, None, None]}, "auc") == ".750"
