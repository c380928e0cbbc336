"""The page of shares of losses as people see it: nothing from outside, nothing cut off on a narrow screen."""

import numpy as np
import pytest

from fedrisk.analysis.loss_report import loss_report
from fedrisk.analysis.loss_rules import LossRules
from fedrisk.language import speaking
from fedrisk.report.losses import about, between, pool_words, render, table, verdict, write_losses
from support import pages
from support.lent_books import book, record

SHARES = {"guarantor": 0.5, "bank": 0.3, "city": 0.2}


def rules(name, size, by=()):
    return LossRules.model_validate(
        {
            "name": name,
            "rest": "bank",
            "parties": [{"name": n, "title": f"the {n}"} for n in SHARES],
            "segments": [{"name": "all", "by": by, "layers": [{"shares": SHARES}]}],
            "stop": {"rate": 0.02},
            "pool": {"size": size, "pays": ["city"], "beyond": "bank"},
            "figures": {"enterprises": "loans", "matured_loss": "expected_loss"},
        }
    )


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(3)
    made = record(book(rng, loans=4_000), rng)
    return loss_report(rules("one", 2.4e8, ("sector",)), [made], other=rules("two", 1e12))


def test_words_say_what_the_figures_are(report):
    first, pool, stop = verdict(report)
    assert first.startswith("An expected loss of ")
    assert pool == pool_words(report.shares.pool)
    assert "not enough at 99% (short by " in pool
    assert pool_words(report.other.pool).endswith("enough at 90% and 99%.")
    assert stop.endswith("compensation stops (above 2.0%).")


def test_the_table_adds_up_as_the_page_says(report):
    rows = [line.split(",") for line in table(report.shares).splitlines()[1:]]
    said = [[round(100 * float(x)) for x in row[-3:]] for row in rows if row[-1]]
    hidden = [s for s in report.shares.segments if not s.says]
    totals = [sum(column) for column in zip(*said, strict=True)]
    assert [t + sum(s.parts[k] for s in hidden) for k, t in enumerate(totals)] == [
        p.expected for p in report.shares.parties
    ]


@pages.NEEDS_CHROMIUM
@pytest.mark.parametrize("code", [pytest.param("en", marks=pytest.mark.long), "zh"])
def test_the_page_is_readable(browser, report, tmp_path, code):
    with speaking(code):
        page, *_ = write_losses(report, tmp_path)
    pages.check(browser, page)


def test_the_page_in_chinese_counts_money_as_the_chinese_do(report):
    with speaking("zh"):
        page = render(report)
        assert about(2_182_507_193_600) == "218.25亿元"
        assert between(91_000_000, 182_507_193_600) == "0.01至18.25亿元"
    assert "资金池是否足够" in page
    for english in ("yuan", "expected", "pool", "(unknown)"):
        assert english not in page
