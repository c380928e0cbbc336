"""Checks of pages find what is wrong, and the parts of all pages are readable, accessible and whole by themselves."""

import pytest

from support import pages

pytestmark = pages.NEEDS_CHROMIUM

FAULTY = """<!doctype html><html><head><title>x</title></head><body><main><h1>x</h1>
<p style="color:#bbb">pale</p><img src="missing.png">
<div style="width:40px;white-space:nowrap;overflow:hidden">a long text here</div>
<div style="position:relative"><span style="position:absolute">one two</span><span style="position:absolute;left:4px">three</span></div>
<svg width="300" height="100"><text x="280" y="50" font-size="12">outside</text><text x="10" y="50" font-size="5">small</text>
<text x="30" y="80">over</text><text x="34" y="82">under</text></svg>
<table style="width:900px"><tr><td>wide</td></tr></table><script>1</script></main></body></html>"""


@pytest.fixture(scope="module")
def browser():
    yield from pages.one_browser()


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
