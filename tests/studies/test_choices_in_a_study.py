"""A study that states its choices and goes without evaluation: all plan alike, and the hold-out costs nothing."""

import pytest

from fedrisk.report.html import write_report

pytestmark = pytest.mark.study

SHARES = {"edges": 0.05, "counts": 0.75, "gram": 0.15, "calibration": 0.05}


def test_choices_hold_on_both_sides_and_no_hold_out_is_charged(kit, tmp_path):
    """The second release is the one that was chosen, a column is left out, and nothing is spent on the hold-out."""
    out = f"tax.{kit.COLUMNS['tax'][1]['name']}"
    chosen = {"second": "recount", "shares": SHARES, "left_out": {out: "weak"}}
    study = {"scorecard": chosen, "evaluation": {"release": False}}
    run = kit.build(tmp_path, study=study).run()
    results = run.results
    assert results.second_release == "recount"
    assert out not in [b.feature.name for b in results.card.bins]
    assert results.record.find("evaluation") is None and results.auc is None
    assert {spend["population"] for spend in results.spends} == {"training"}
    assert [f.code for f in results.findings if "evaluation" in f.code] == ["went_without_evaluation"]
    assert len(run.scores("alfa"))
    page = write_report(results, tmp_path).read_text(encoding="utf-8")
    assert "This study asked for no evaluation" in page
