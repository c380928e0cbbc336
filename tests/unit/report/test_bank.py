import html
import re
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.analysis import swap_sets
from fedrisk.errors import ConfigError
from fedrisk.language import speaking
from fedrisk.report.bank import bank_figures, bank_page
from fedrisk.report.figure_style import Drawn, Plot
from fedrisk.report.page import write_page
from support import pages
from support.own_rows import network_rows, own_rows


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(swap_sets, "ROWS_DRAWN", 0)
        patch.setattr(swap_sets, "FEWEST_DRAWS", 20)
        yield


@pytest.fixture(scope="module")
def rows():
    return own_rows()


@pytest.fixture(scope="module")
def page(rows):
    return bank_page(rows)


@pages.NEEDS_CHROMIUM
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_readable_everywhere(browser, tmp_path, rows, page, language):
    with speaking(language):
        pages.check(browser, tmp_path / "page.html", page if language == "en" else bank_page(rows))


@pytest.fixture
def undrawn(monkeypatch):
    """Pages of which the pictures do not matter."""
    monkeypatch.setattr(Drawn, "plot", lambda self: Plot("<svg></svg>", self.alt))


def headings(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def text_of(page):
    bare = re.sub(r"<svg.*?</svg>|<style.*?</style>|<[^>]+>", " ", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(bare))


def test_the_answer_comes_first_and_the_page_says_whose_it_is(page, rows):
    text = text_of(page)
    assert text.index("For this bank alone") < text.index("Use the ") < text.index("Models beside each other")
    assert "in place of the bank's own, approving the same 80% of customers" in text
    assert headings(page)[0] == "Models beside each other" and headings(page)[-1] == "What not to conclude"
    assert "<script" not in page and "http" not in re.sub(r"http://www\.w3\.org\S*", "", page)


def test_figures_of_the_page_are_those_of_the_rows(page, rows):
    text, found = text_of(page), bank_figures(rows)
    auc = found.model(found.chosen).roc.auc
    assert f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})" in text
    y, score = rows.outcome, rows.score[rows.held_out]
    if found.distribution.axis == "score":
        cut = int(found.cutoffs[3].cut)
        assert re.search(rf"{cut} {100 * (score >= cut).mean():.1f}%", text)
    assert f"{int(y.sum()):,} defaults in the hold-out of {len(y):,} customers" in text


def test_another_share_is_said_first_where_it_is_asked_for(rows, undrawn):
    assert "approving the same 65% of customers" in text_of(bank_page(rows, approve=0.65))
    for share in (0.0, 1.2):
        with pytest.raises(ConfigError, match="--approve"):
            bank_page(rows, approve=share)


def test_points_and_reasons_have_the_words_of_the_dictionary(page):
    text = text_of(page)
    assert "share of the limit in use" in text and "what others know" in text
    assert "Own columns without points: idle" in text and "tax: sales" in text
    # Nobody's reason is no row.
    assert not re.search(r"<th scope=\"row\">idle</th><td></td><td class=\"n\">0", page)


def test_a_page_in_chinese(rows, undrawn):
    with speaking("zh"):
        page = bank_page(rows)
    text = text_of(page)
    assert 'lang="zh-CN"' in page and "仅供本行使用" in text and "外部数据" in text
    english = set(re.findall(r"[A-Za-z]{4,}", text))
    names = {
        "fedrisk",
        "Brier",
        "small",
        "city",
        "late",
        "idle",
        "sales",
        "share",
        "limit",
        "what",
        "others",
        "know",
        "aaaaaaaa",
    }
    left = english - names - {"missing", "holdout", "from", "date", "a" * 32}
    assert not left, left


def test_of_few_or_no_labels_it_says_so(rows, undrawn):
    none = text_of(bank_page(replace(rows, label=np.full(len(rows.label), np.nan), verdict=None)))
    assert "No customer of the hold-out has a label" in none and "How well it ranks" not in none
    assert "Whether customers have changed" in none
    one = text_of(bank_page(replace(rows, label=np.zeros(len(rows.label)), verdict=None)))
    assert "too few to compare models" in one and "Below 30 nothing should be concluded" in one


def test_a_network_and_a_bank_without_own_models(undrawn):
    text = text_of(bank_page(network_rows()))
    assert "the consortium's network" in text and "probabilities alone" in text
    assert "Points by bin" not in text and "Reasons" not in text
    alone = own_rows(600, probability={"scorecard": own_rows(600).probability["scorecard"]})
    text = text_of(bank_page(alone))
    assert "Use the consortium's card." in text and "What it would change" not in text


def test_a_research_run_is_marked_in_red(rows, undrawn):
    page = bank_page(replace(rows, research=True, label=np.full(len(rows.label), np.nan), verdict=None))
    assert 'class="alarm"' in page


def test_what_could_not_be_made_is_said_as_text(rows, undrawn):
    failed = {"champion": {"code": "data", "reason": "<b>too few</b>"}}
    page = bank_page(replace(rows, absent=failed, label=np.full(len(rows.label), np.nan), verdict=None))
    assert "Not made: the champion. &lt;b&gt;too few" in page


def test_it_is_written_for_its_owner_alone(tmp_path):
    file = write_page(tmp_path / "in" / "page.html", "<p>…</p>")
    assert file.read_text(encoding="utf-8") == "<p>…</p>" and file.stat().st_mode & 0o777 == 0o600
