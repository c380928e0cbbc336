"""Two studies compared by their records: what is compared, at which rate of false alarms, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest

from fedrisk.analysis.changes import Compared
from fedrisk.analysis.drift import called, drift, holm, step_up
from fedrisk.analysis.estimates import estimates
from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.releases.statistics import MEAN_COUNT, UNKNOWN, Axis, CellTable, Layout, Measure, block_name
from fedrisk.report.words import word

COUNTIES, SECTORS = ("c1", "c2", "c3", UNKNOWN), ("trade", "farming", UNKNOWN)
NOISE = 8.0


def layout(**changes):
    parts = {
        "owner": "power",
        "axes": (
            Axis(name="county", column="power.county", categories=COUNTIES),
            Axis(name="sector", column="power.sector", categories=SECTORS),
        ),
        "tables": (CellTable(name="county, sector", axes=("county", "sector")),),
        "measures": (
            Measure(name="count", kind="count", share=0.25),
            Measure(name="growth", kind="mean", column="power.growth", low=-1, high=1, share=0.25),
            Measure(name="late", kind="share", column="power.late", flag=True, share=0.25),
            Measure(
                name="load", kind="quantiles", column="power.load", low=0, high=9, cuts=(3.0, 6.0), share=0.25
            ),
        ),
    }
    return Layout(**{**parts, **changes})


def numbers(rng, kind, sizes, mean, late):
    """Sums of one measure in cells of these sizes, (cells, columns)."""
    if kind == "count":
        return sizes[:, None].astype(float)
    if kind == "share":
        ones = rng.binomial(sizes, late)
        return np.stack([ones, sizes - ones], 1).astype(float)
    if kind == "quantiles":
        return np.stack([rng.multinomial(n, [0.3, 0.4, 0.3]) for n in sizes]).astype(float)
    z = np.array([rng.uniform(-0.4 + mean, 0.4 + mean, n).sum() for n in sizes])
    return np.stack([MEAN_COUNT * sizes, np.sqrt(1 - MEAN_COUNT**2) * z], 1)


def record(rng, *, shares=None, mean=0.1, late=0.2, rows=4000, of=None, attempt=None, research=False):
    """A statistics study's record of a month's enterprises."""
    of = of or layout()
    table = of.tables[0]
    shares = np.full(12, 1 / 12) if shares is None else shares
    sizes = rng.multinomial(rng.poisson(rows), shares)
    blocks = []
    for measure in of.measures:
        exact = numbers(rng, measure.kind, sizes, mean, late)
        total = exact + rng.normal(0, NOISE, exact.shape)
        name = block_name(table, measure)
        blocks.append(ReleasedBlock(name=name, left="power", right="power", total=total, variance=NOISE**2))
    released = ReleasedSums(
        name="statistics", population="all", mu=0.2, blocks=tuple(blocks), about={"layout": of.to_dict()}
    )
    attempt = attempt or f"{rng.integers(1 << 60):032x}"
    return ReleaseRecord(study={}, study_digest="", attempt=attempt, research=research, releases=(released,))


def test_every_margin_and_measure_is_compared():
    rng = np.random.default_rng(1)
    found = drift(record(rng), record(rng))
    assert {c.change.name for c in found.called} == {
        *("count by county", "count by sector", "count by county, sector"),
        *("growth", "late", "load"),
    }
    assert not found.changed
    assert {"overlap", "mean_bound"} <= set(found.notes)


@pytest.mark.parametrize("pairs", [40, pytest.param(2000, marks=pytest.mark.long)])
def test_false_alarms_over_all_comparisons(pairs):
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(pairs):
        shares = rng.dirichlet(np.ones(12))
        alarms += drift(record(rng, shares=shares), record(rng, shares=shares, rows=3000)).changed
    assert alarms / pairs <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / pairs)


def test_planted_changes_are_found_and_named():
    rng = np.random.default_rng(3)
    moved = np.full(12, 1 / 12)
    moved[0] += 0.04
    moved[5] -= 0.04
    found = {c.change.name for c in drift(record(rng), record(rng, shares=moved)).found}
    assert "count by county, sector" in found
    assert "growth" not in found
    (late,) = drift(record(rng), record(rng, late=0.3)).found
    assert late.change.name == "late"
    assert late.change.new == pytest.approx(0.3, abs=0.03)
    (growth,) = drift(record(rng), record(rng, mean=0.4)).found
    assert growth.change.name == "growth"


@pytest.mark.parametrize("rows", [30, 4000])
def test_a_figure_that_is_withheld_is_withheld_here_too(rows):
    of = layout(axes=(), tables=(CellTable(name="(all)", axes=()),))
    of = layout(axes=(), tables=of.tables, measures=of.measures[1:3])
    rng = np.random.default_rng(6)
    pair = [record(rng, shares=[1.0], rows=rows, of=of) for _ in range(2)]
    for place, one in enumerate(pair):
        shown = estimates(one).frame.set_index("measure")["estimate"]
        for each in drift(*pair).called:
            ratio = (each.change.old, each.change.new)[place]
            assert np.isnan(ratio) == np.isnan(shown[each.change.name]) == (rows == 30)


def test_what_cannot_be_compared_is_refused():
    rng = np.random.default_rng(4)
    old = record(rng, attempt="a" * 32)
    with pytest.raises(ConfigError, match="one run"):
        drift(old, record(rng, attempt="a" * 32))
    other = layout(measures=(Measure(name="count", kind="count"),))
    with pytest.raises(ConfigError, match="different measures"):
        drift(old, record(rng, of=other))
    with pytest.raises(ConfigError, match="rate of false alarms"):
        drift(old, record(rng), rate=2.0)
    with pytest.raises(ConfigError, match="two records of one kind"):
        drift(old, scorecard(rng))


def test_other_shares_of_the_budget_are_no_other_study():
    rng = np.random.default_rng(5)
    plain = layout()
    other = layout(
        measures=tuple(
            Measure(**{**vars(m), "share": s})
            for m, s in zip(plain.measures, (0.1, 0.3, 0.3, 0.3), strict=True)
        )
    )
    assert drift(record(rng), record(rng, of=other)).called


def test_a_run_without_privacy_is_said_to_be_one():
    rng = np.random.default_rng(6)
    assert drift(record(rng, research=True), record(rng)).research


def scorecard(rng, *, bins=(0.25, 0.25, 0.25, 0.25), rates=0.1, edges=(1.0, 2.0), tail=1.0):
    """A scorecard study's record: a bank's column with public bins, a holder's with edges from a noisy histogram."""
    own = Bins(
        Feature(institution="bank", column="late", low=0, high=9, bins=(1.0, 2.0), missing=True),
        edges=(1.0, 2.0),
    )
    held = Bins(
        Feature(institution="tax", column="sales", low=0, high=9, missing=False), edges=edges, unknown=True
    )
    known = Bins.public(Feature(institution="tax", column="(known)", kind="known", missing=False))
    blocks, cells = [], []
    for role in ("bank", "tax"):
        sizes = rng.multinomial(6000, bins)
        ones = rng.binomial(sizes, rates)
        exact = np.stack([ones, sizes - ones], 1)
        total = exact + rng.normal(0, NOISE, exact.shape)
        blocks.append(ReleasedBlock(name=role, left=role, right="bank", total=total, variance=NOISE**2))
    grid = rng.multinomial(6000, np.r_[np.full(32, tail), np.ones(32)] / (32 * (1 + tail)))
    cells.append(
        ReleasedBlock(
            name="tax", left="tax", right="tax", total=(grid + rng.normal(0, 4, 64))[None], variance=16.0
        )
    )
    about = {"bins": [b.to_dict() for b in (own, held, known)]}
    releases = (
        ReleasedSums(name="edges", population="training", mu=0.1, blocks=tuple(cells)),
        ReleasedSums(name="counts", population="training", mu=0.1, blocks=tuple(blocks), about=about),
    )
    return ReleaseRecord(
        study={}, study_digest="", attempt=f"{rng.integers(1 << 60):032x}", research=False, releases=releases
    )


def test_scorecards_are_compared_by_bins_and_defaults():
    rng = np.random.default_rng(7)
    found = drift(scorecard(rng), scorecard(rng))
    assert {c.change.name for c in found.called} == {
        *("bank.late", "tax.sales", "bank.late: defaults", "tax.sales: defaults"),
    }
    assert not found.changed
    moved = drift(scorecard(rng), scorecard(rng, bins=(0.3, 0.25, 0.25, 0.2), rates=0.2))
    assert {"bank.late", "bank.late: defaults", "tax.sales: defaults"} <= {c.change.name for c in moved.found}


def test_columns_with_other_edges_are_compared_by_their_histograms():
    rng = np.random.default_rng(8)
    same = drift(scorecard(rng), scorecard(rng, edges=(1.5, 2.5)))
    assert "tax.sales: defaults" not in {c.change.name for c in same.called}
    assert not same.changed
    (found,) = drift(scorecard(rng), scorecard(rng, edges=(1.5, 2.5), tail=1.5)).found
    assert found.change.name == "tax.sales"


def test_every_code_has_words():
    rng = np.random.default_rng(9)
    for found in (
        drift(record(rng), record(rng)),
        drift(scorecard(rng), scorecard(rng, edges=(1.5, 2.5))),
        drift(record(rng, rows=5), record(rng, rows=5)),
    ):
        for code in (*found.notes, *found.silent.values()):
            assert word("drift", code) != code


def test_adjusted_chances():
    chances = [0.04, 0.001, 0.03, 0.5]
    assert holm(chances) == pytest.approx([0.09, 0.004, 0.09, 0.5])
    assert step_up(chances) == pytest.approx([0.16 / 3, 0.004, 0.16 / 3, 0.5])
    assert all(b <= h for b, h in zip(step_up(chances), holm(chances), strict=True))


def test_without_privacy_is_said_also_where_noise_leaves_no_comparison():
    found = called(
        SimpleNamespace(attempt="a", research=True),
        SimpleNamespace(attempt="b", research=False),
        Compared(changes=()),
        0.05,
    )
    assert found.research


def test_ratios_that_say_less_than_their_noise_are_no_figures():
    rng = np.random.default_rng(8)
    by_name = {c.change.name: c.change for c in drift(record(rng, rows=60), record(rng, rows=4000)).called}
    assert np.isnan(by_name["growth"].old)
    assert by_name["growth"].new == pytest.approx(0.1, abs=0.1)


def test_a_record_that_does_not_fit_its_layout_is_refused():
    rng = np.random.default_rng(9)
    good, bad = record(rng), record(rng)
    bad.releases[0].about["layout"] = {"of": "another version"}
    with pytest.raises(ConfigError, match="another version"):
        drift(good, bad)
    torn = record(rng)
    torn.releases[0].blocks[0].total[0] = np.nan
    with pytest.raises(ConfigError, match="take another copy"):
        drift(good, torn)
