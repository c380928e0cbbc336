"""The page of a validation: readable in both languages, on rows and on released numbers; every check has its words."""

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
from fedrisk.report.validation import render_validation, write_validation
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


def test_the_page_says_how_noise_was_corrected_and_whose_figures_they_are(packs):
    page = render_validation(packs["released"])
    assert "released numbers alone" in page and words.noise_words(packs["released"].checks[0]) in page
    assert "exact figures, for the bank and its validator alone" in render_validation(packs["rows"])


def test_page_and_file_are_written(packs, tmp_path):
    page, file = write_validation(packs["rows"], tmp_path / "new")
    assert page.name == "validation.html" and file.read_text(encoding="utf-8").startswith("{")


@pages.NEEDS_CHROMIUM
def test_pages_are_readable(packs, tmp_path):
    for browser in pages.one_browser():
        pages.check(browser, tmp_path / "rows.html", render_validation(packs["rows"]))
        with speaking("zh"):
            pages.check(browser, tmp_path / "released.html", render_validation(packs["released"]), axe=False)
