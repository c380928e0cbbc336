"""Checks of pages find what is wrong, and the parts of all pages are readable, accessible and whole by themselves."""

import math
from dataclasses import replace

import pytest

from fedrisk.language import speaking
from fedrisk.models.member_study import Budget, MemberStudy, Moved, Served, Signatures
from fedrisk.report.holder import holder_page
from fedrisk.report.html import render
from support import pages

pytestmark = pages.NEEDS_CHROMIUM

FAULTY = """<!doctype html><html><head><title>x</title></head><body><main><h1>x</h1>
<p style="color:#bbb">pale</p><img src="missing.png">
<div style="width:40px;white-space:nowrap;overflow:hidden">a long text here</div>
<div style="position:relative"><span style="position:absolute">one two</span><span style="position:absolute;left:4px">three</span></div>
<svg width="300" height="100"><text x="280" y="50" font-size="12">outside</text><text x="10" y="50" font-size="5">small</text>
<text x="30" y="80">over</text><text x="34" y="82">under</text></svg>
<table style="width:900px"><tr><td>wide</td></tr></table><script>1</script></main></body></html>"""


def test_every_fault_of_a_page_is_found(browser, tmp_path):
    with pytest.raises(AssertionError) as told:
        pages.check(browser, tmp_path / "faulty.html", FAULTY)
    for fault in (
        "it has a script",
        "missing.png",
        "html-has-lang",
        "color-contrast",
        "image-alt",
        "at 1200 px: wider than its box by",
        "cut off at the edge of a plot: outside",
        "text of 5.0 px in a plot: small",
        'over each other: "one two" and "three"',
        'over each other: "over" and "under"',
        "at 390 px: the page is",
        "at 703 px: the page is",
    ):
        assert fault in str(told.value), fault


@pytest.mark.parametrize(
    "content", ["<p>" + "x" * pages.LARGEST, "<a onclick='1'>", "<link href='https://a.b/c.css'>"]
)
def test_what_a_file_must_not_have_is_found_without_a_browser(content):
    assert pages.of_file(content)


def test_links_that_a_reader_may_follow_are_none_of_it():
    assert not pages.of_file(
        '<a href="https://example.org">there</a><svg xmlns="http://www.w3.org/2000/svg"/>'
    )


def member(**changed):
    """A holder in a study without a card."""
    moved = Moved(
        time="2026-05-01T10:00:00.000Z",
        other="hub",
        kind="noisy_sums.counts",
        protection="discrete_gaussian_masked",
        bytes=1309,
        rows=53951,
        mu=0.2355,
    )
    given = {
        "institution": "power_utility",
        "role": "power_utility",
        "study": {
            "name": "demo",
            "recipe": "scorecard",
            "purpose": "credit_scoring",
            "privacy": {"delta": 1e-6},
        },
        "attempt": "1f3a9c02",
        "when": "2026-05-01T10:00:00Z",
        "research": False,
        "mu": 0.2355,
        "left": (moved, replace(moved, other="city_bank", kind="partial_scores", mu=0.0)),
        "came": (replace(moved, mu=0.0),),
        "scored": {"city_bank": 46173},
        "budget": Budget(cap=0.8379, spent=0.2355, left=0.8041, lifetime=0.2355, most_epsilon=3.0),
        "models": (
            Served(
                model="ca14309317948b8a",
                version=1,
                state="deployed",
                roles={},
                banks=("city_bank",),
                bits=math.log2(237),
            ),
        ),
        "rules": {
            "per_day": 20000,
            "per_enterprise": 31,
            "models": 2,
            "screening": 9000,
            "consent": "token",
            "approve": "by_hand",
        },
        "quotas": {"city_bank": (57717, 46173), "rural_bank": (None, 0)},
        "signatures": Signatures(entries=78, head="2d7642" * 10, key="095d3e", witnessed={"city_bank": 1}),
    }
    return MemberStudy(**{**given, **changed})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "code"), [pytest.param("private", "en", marks=pytest.mark.long), ("research", "zh")]
)
def test_the_operators_report_is_readable(browser, finished, tmp_path, kind, code):
    results = finished[kind]
    if kind == "research":
        results = replace(results, spends=tuple({**s, "mu": "inf"} for s in results.spends))
    with speaking(code):
        pages.check(browser, tmp_path / "page.html", render(results))


def test_the_holders_report_is_readable(browser, tmp_path):
    with speaking("zh"):
        pages.check(browser, tmp_path / "page.html", holder_page(member()))
    said = holder_page(member())
    assert "further studies of this price fit" in said
    assert "lists of up to 9,000 enterprises" in said


def test_a_holder_of_a_research_run_is_told_that_nothing_was_protected():
    said = holder_page(member(research=True, mu=math.inf, rules={}, models=(), signatures=None, quotas={}))
    assert 'class="alarm"' in said
    assert "nothing was protected, and nothing was charged" in said
    assert "blind guess" not in said
