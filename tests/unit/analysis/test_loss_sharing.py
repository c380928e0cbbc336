"""Figures of parties, segments, pool and other rules; the coverage of intervals on a small scale."""

import numpy as np
import pytest

from fedrisk.analysis.estimates import computed
from fedrisk.analysis.loss_backtest import back_test
from fedrisk.analysis.loss_book import make_book
from fedrisk.analysis.loss_distribution import draw
from fedrisk.analysis.loss_report import loss_report
from fedrisk.analysis.loss_rules import LossRules
from fedrisk.analysis.loss_sharing import share_losses
from fedrisk.errors import ConfigError
from support.lent_books import book, record

NAMES = ("guarantor", "reguarantor", "bank", "city")


def rules(*shares, deductible=None, by=(), **more):
    layers = [{"shares": dict(zip(NAMES, shares, strict=True))}]
    if deductible is not None:
        layers.insert(0, {"up_to": deductible, "shares": {"bank": 1.0}})
    plain = {
        "name": "r",
        "rest": "bank",
        "parties": [{"name": n} for n in NAMES],
        "segments": [{"name": "all", "by": by, "layers": layers}],
        "figures": {"enterprises": "loans"},
    }
    return LossRules.model_validate({**plain, **more})


@pytest.fixture(scope="module")
def exact():
    return book(np.random.default_rng(5), loans=4_000)


@pytest.fixture(scope="module")
def noisy(exact):
    return record(exact, np.random.default_rng(6))


def shared(made, found):
    lent = make_book(found, [made])
    return share_losses(lent, made, draw(lent, made))


def test_tables_add_up_to_the_last_fen(noisy):
    made = rules(
        0.4,
        0.3,
        0.2,
        0.1,
        deductible=0.005,
        by=("sector",),
        pool={"size": 1e6, "pays": ["city"], "beyond": "bank"},
    )
    found = shared(made, computed(noisy))
    assert sum(p.expected for p in found.parties) == found.total.expected
    assert sum(s.expected for s in found.segments) == found.total.expected
    for k, party in enumerate(found.parties):
        assert sum(s.parts[k] for s in found.segments) == party.expected
    assert all(sum(s.parts) == s.expected for s in found.segments)
    assert not [s for s in found.segments if s.title.endswith("(unknown)") and s.says]


def test_without_layers_parties_bear_their_shares_of_the_released_sum(exact):
    found = shared(rules(0.4, 0.3, 0.2, 0.1), computed(record(exact, np.random.default_rng(1), noise=False)))
    total = round(100 * exact["expected_loss"].sum())
    assert found.total.expected == total
    assert [p.expected for p in found.parties] == pytest.approx(
        [0.4 * total, 0.3 * total, 0.2 * total, 0.1 * total], abs=1
    )
    # No noise, no width; but next year's loss is not known.
    assert found.total.high - found.total.low <= 2
    assert found.total.least < 0.5 * total < 1.5 * total < found.total.most


def test_figures_that_say_less_than_their_noise_are_nowhere(noisy):
    found = shared(rules(0.4, 0.3, 0.2, 0.1, by=("sector",)), computed(noisy)).to_dict()
    hidden = [s for s in found["segments"] if not s["says"]]
    assert [s["title"] for s in hidden] == ["all, (unknown)"]
    assert all(s[key] is None for s in hidden for key in ("exposure", "expected", "low", "high", "parts"))


def test_intervals_hold_the_expected_loss_at_their_rate():
    """40 provinces at 95 %: fewer than 33 inside come less often than once in a thousand times."""
    made = rules(0.4, 0.3, 0.2, 0.1)
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        exact = book(rng, loans=4_000)
        lent = make_book(computed(record(exact, rng)), [made])
        found = share_losses(lent, made, draw(lent, made, noise_draws=240, factor_draws=8))
        inside += found.parties[0].low <= 0.4 * 100 * exact["expected_loss"].sum() <= found.parties[0].high
    assert inside >= 33


def test_other_rules_move_losses_and_add_none(noisy):
    these = rules(0.4, 0.3, 0.2, 0.1, deductible=0.003)
    other = rules(0.5, 0.2, 0.2, 0.1, by=("grade",))
    report = loss_report(these, [noisy], other=other)
    assert sum(c.change for c in report.changes) == 0
    assert {c.name: c.change > 0 for c in report.changes}["guarantor"]
    assert all(c.low <= c.change <= c.high for c in report.changes)
    assert report.other is not None
    assert [c.these for c in report.changes] == [p.expected for p in report.shares.parties]
    assert [c.other for c in report.changes] == [p.expected for p in report.other.parties]


def test_a_pool_that_holds_and_one_that_does_not(noisy):
    claims = shared(rules(0.4, 0.3, 0.2, 0.1, pool={"size": 1e12, "pays": ["city"]}), computed(noisy)).pool
    assert claims.adequate == (True, True)
    assert claims.enough == 1.0
    small = rules(
        0.4, 0.3, 0.2, 0.1, pool={"size": round(claims.quantiles[0] / 100 * 1.01, 2), "pays": ["city"]}
    )
    found = shared(small, computed(noisy)).pool
    assert found.adequate == (True, False)
    assert 0.89 < found.enough < 0.93


def test_losses_that_came_as_foretold_are_inside(exact):
    made = rules(0.4, 0.3, 0.2, 0.1, figures={"enterprises": "loans", "matured_loss": "matured_loss"})
    periods = []
    for quarter, times in enumerate((0.8, 1.1, 30.0)):
        sums = {**exact, "matured_loss": times * exact["expected_loss"]}
        periods.append(record(sums, np.random.default_rng(quarter), epsilon=8.0, name=f"q{quarter}"))
    tested = loss_report(made, periods).tested
    assert [r.inside for r in tested.rows if r.what == "total"] == [True, True, False]
    parties = [r for r in tested.rows if r.what == "party" and r.period == "q0"]
    assert sum(r.came for r in parties) == next(r.came for r in tested.rows if r.what == "total")


def test_a_loss_may_mature_in_a_later_record(exact):
    figures = {"enterprises": "loans", "matured_loss": "matured_loss", "matured_later": 1}
    made = rules(0.4, 0.3, 0.2, 0.1, figures=figures)
    sums = {**exact, "matured_loss": exact["expected_loss"]}
    records = [record(sums, np.random.default_rng(k), name=f"q{k}") for k in range(3)]
    books = [make_book(computed(r), [made]) for r in records]
    assert {r.period for r in back_test(books, ["q0", "q1", "q2"], made).rows} == {"q1", "q2"}
    assert back_test(books[:1], ["q0"], made) is None


def test_nothing_named_is_an_error():
    with pytest.raises(ConfigError, match="no results were named"):
        loss_report(rules(0.4, 0.3, 0.2, 0.1), [])
