from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from fedrisk.analysis import swap_sets
from fedrisk.analysis.own_columns import column_shifts, column_values, score_shifts
from fedrisk.analysis.own_figures import own_figures
from fedrisk.analysis.own_parts import MOST_PERIODS, parts_of, periods_of
from fedrisk.errors import ConfigError
from support.own_rows import network_rows, own_rows


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(swap_sets, "ROWS_DRAWN", 0)
    monkeypatch.setattr(swap_sets, "FEWEST_DRAWS", 20)


@pytest.fixture(scope="module")
def rows():
    return own_rows()


def test_figures_are_those_of_the_rows(rows):
    found, y = own_figures(rows, "scorecard"), rows.outcome
    assert (found.defaults, found.others) == (int(y.sum()), int((1 - y).sum()))
    assert sum(found.rows.values()) == len(rows.label)
    for name in ("scorecard", "recalibrated", "champion", "alone"):
        one, risk = found.model(name), rows.risk(name)
        assert one.roc.auc.value == pytest.approx(roc_auc_score(y, risk))
        fpr, tpr, _ = roc_curve(y, risk)
        # Drawn at a hundred groups of scores, so the distance may be missed by one group.
        assert one.ks.value.value == pytest.approx((tpr - fpr).max(), abs=0.02)
        assert one.brier == pytest.approx(brier_score_loss(y, risk))
    score = rows.score[rows.held_out]
    for cut in found.cutoffs:
        let_in = score >= cut.cut
        assert cut.approved.value == pytest.approx(let_in.mean())
        assert cut.bad_approved.value == pytest.approx(y[let_in].mean())
        assert cut.bad_refused.value == pytest.approx(y[~let_in].mean())
        assert cut.kept_out.value == pytest.approx(y[~let_in].sum() / y.sum())
        assert cut.bad_approved.low <= cut.bad_approved.value <= cut.bad_approved.high
    for one in found.breakeven:
        let_in = rows.risk("recalibrated") <= 1 / (1 + one.loans)
        assert one.approved.value == pytest.approx(let_in.mean())
        if let_in.any():
            assert one.bad_approved.value == pytest.approx(y[let_in].mean())
            assert one.score == score[let_in].min()


def test_the_model_that_the_verdict_says_is_in_the_foreground(rows):
    use = rows.verdict["use"]
    assert own_figures(rows).chosen == use
    own = replace(rows, verdict={**rows.verdict, "use": "alone"})
    assert own_figures(own).chosen == "scorecard"
    assert own_figures(rows, "alone").swaps == ()
    with pytest.raises(ConfigError, match="no model personal.*scorecard, recalibrated, champion, alone"):
        own_figures(rows, "personal")


def test_without_both_labels_there_are_no_curves_and_the_rest_is_there(rows):
    for label in (np.zeros(len(rows.label)), np.full(len(rows.label), np.nan)):
        found = own_figures(replace(rows, label=label, verdict=None))
        assert found.models == found.swaps == found.cutoffs == () and found.parts is None
        assert found.score_shifts and found.column_shifts
        assert all(v.own is None for v in found.values)


def test_plain_values_are_numbers(rows):
    plain = own_figures(rows).to_dict()
    assert isinstance(plain["models"][0]["roc"]["auc"]["value"], float)
    assert plain["distribution"]["low"] == sorted(plain["distribution"]["low"])


def test_a_network_has_probabilities_alone():
    rows = network_rows()
    found = own_figures(rows)
    assert (found.chosen, found.own) == ("shared", "local")
    assert {m.name for m in found.models} == {"shared", "local"} and found.swaps
    assert found.parts is None and found.values == () and found.column_shifts == ()
    assert all(b.score is None for b in found.breakeven)


def test_the_value_of_a_column_and_of_one_that_says_nothing(rows):
    found = {v.column: v for v in column_values(rows)}
    assert set(found) == {"use", "late", "idle"}
    assert found["idle"].own.value == 0 and found["use"].own.low > 0
    points, y = rows.points["use"], rows.label
    levels = np.unique(points)
    g, b = (np.array([(points[y == side] == v).mean() for v in levels]) for side in (0, 1))
    plain = float(((g - b) * np.log(g / b)).sum())
    # Less what sampling adds.
    assert found["use"].own.value == pytest.approx(plain, abs=0.02)
    assert found["use"].own.value < plain


def test_customers_that_moved_are_found(rows):
    assert {s.index.verdict for s in score_shifts(rows, "scorecard")} <= {"stable", "unclear"}
    moved = np.where(rows.rows_of("holdout"), rows.score - 30, rows.score)
    use = np.where(rows.rows_of("training"), rows.points["use"], -9)
    other = replace(rows, score=moved, points={**rows.points, "use": use})
    held = next(s for s in score_shifts(other, "scorecard") if s.name == "holdout")
    assert held.index.verdict == "moved" and held.points < -20
    first, *rest = column_shifts(other)
    assert first.name == "use" and first.index.verdict == "moved"
    assert {s.index.verdict for s in rest} <= {"stable", "unclear"}


def test_both_parts_of_the_score(rows):
    found, y = parts_of(rows), rows.outcome
    held = rows.held_out
    assert found.own.value == pytest.approx(roc_auc_score(y, -rows.own_points[held]))
    assert found.external.value == pytest.approx(roc_auc_score(y, -rows.external_points[held]))
    assert sum(c.customers for row in found.cells for c in row) == held.sum()
    low = (rows.own_points[held] < found.own_edges[0]) & (
        rows.external_points[held] < found.external_edges[0]
    )
    assert found.cells[0][0].rate.value == pytest.approx(y[low].mean())
    assert parts_of(replace(rows, external_points=None)) is None


@pytest.mark.parametrize(
    ("days", "first", "count"), [(200, "2024-01", 7), (700, "2024 Q1", 8), (3000, "2024", 9)]
)
def test_periods_are_few_whatever_the_span(rows, days, first, count):
    day = np.datetime64("2024-01-01") + np.linspace(0, days, len(rows.label)).astype(int)
    found = periods_of(replace(rows, day=day), "scorecard")
    assert found[0].name == first and len(found) == count <= MOST_PERIODS
    assert sum(p.customers for p in found) == len(rows.label)
    assert sum(p.defaults for p in found) == rows.label.sum()
    assert found[0].index is None and found[1].index is not None
    assert periods_of(rows, "scorecard") == ()
