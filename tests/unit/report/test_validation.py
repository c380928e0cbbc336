"""The page of a validation: readable in both languages, on rows and on released numbers; every check has its words."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE
from fedrisk.analysis.validation.pack import validate
from fedrisk.analysis.validation.released import released_evidence
from fedrisk.analysis.validation.rows import row_evidence
from fedrisk.analysis.validation.rules import ValidationRules
from fedrisk.language import speaking
from fedrisk.models.validation_rows import ValidationRows
from fedrisk.report import validation_words as words
from fedrisk.report.validation import write_validation
from support import pages
from support.own_rows import own_rows
from support.validated import record

RULES = ValidationRules()


@pytest.fixture(scope="module")
def packs():
    rows = own_rows(3000, seed=4)
    final = np.array(["C"] * 3000, object)
    codes = {name: np.unique(p, return_inverse=True)[1] for name, p in rows.points.items()}
    more = ValidationRows(codes=codes, sizes=dict.fromkeys(codes, 5), recorded=final)
    return {
        "rows": validate(row_evidence(rows, more, DEFAULT_SCALE), RULES),
        "released": validate(released_evidence(*record()), RULES),
    }


@pytest.mark.parametrize("kind", ["rows", "released"])
def test_every_check_says_what_it_is_what_came_out_and_by_which_rule(packs, kind):
    for check in packs[kind].checks:
        assert words.name(check.code) and words.rule_words(check) and words.basis_words(check)
        assert check.light == "none" or check.p is not None or words.result(check)
        assert (check.light == "none") == (check.rule in words.REASONS)


@pytest.fixture(scope="module")
def written(packs, tmp_path_factory):
    """Pages of rows in English and of released numbers in Chinese, with the file beside."""
    folder = tmp_path_factory.mktemp("validation")
    found = {"rows": write_validation(packs["rows"], folder / "rows")}
    with speaking("zh"):
        found["released"] = write_validation(packs["released"], folder / "released")
    return found


def test_the_page_says_whose_figures_they_are_and_the_file_is_not_translated(written):
    page, file = written["rows"]
    assert "exact figures, for the bank and its validator alone" in page.read_text(encoding="utf-8")
    assert page.name == "validation.html" and file.name == "validation.json"
    page, file = written["released"]
    assert "仅基于研究的已发布数值" in page.read_text(encoding="utf-8")
    assert json.loads(file.read_text(encoding="utf-8"))["checks"][0]["code"] == "grades_under"


@pages.NEEDS_CHROMIUM
def test_pages_are_readable(browser, written):
    pages.check(browser, written["rows"][0])
    pages.check(browser, written["released"][0], axe=False)


def test_a_sample_that_shows_nothing_is_not_called_sound():
    """Noise far beyond the counts: nothing is assessed, and the page says so first."""
    pack = validate(released_evidence(*record()), RULES)
    hidden = replace(pack.evidence.now, variance=1e7)
    nothing = validate(replace(pack.evidence, now=hidden, before=None), RULES)
    assert "No test objects" not in words.verdict(nothing)
    times = next(c for c in nothing.checks if c.code == "portfolio").values["found"]
    assert times > 10 and f"{times:.2f}" in words.power_words(nothing)
