"""The documentation as a site: its examples of Python, its hooks, and search on a disk."""

import ast
import doctest
import importlib.util
import re
from pathlib import Path

import pytest

import fedrisk
from support.browser import CHROMIUM, Browser

DOCS = Path(fedrisk.__file__).parents[1] / "docs"
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]


def part(name):
    """A file of docs/ as a module: they are no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_examples_of_python_name_what_is_there():
    used = set()
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    used |= {node.attr} if node.value.id == "fedrisk" else set()
                if isinstance(node, ast.ImportFrom) and node.module == "fedrisk":
                    used |= {alias.name for alias in node.names}
    assert {"run", "check", "load_results", "ScorecardClassifier", "edit_card"} <= used
    assert used <= set(fedrisk.__all__)


def anchors(page):
    """Headings of a page as GitHub and the site write them behind #."""
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.strip().lower()).replace(" ", "-") for head in heads}


def test_links_lead_somewhere_in_the_repository_too():
    root = DOCS.parent
    broken = []
    for page in [
        *PAGES,
        root / "CONTRIBUTING.md",
        root / "CHANGELOG.md",
        *root.glob("benchmarks/**/README.md"),
    ]:
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            there = page.parent / path if path else page
            if re.match(r"[a-z]+:", target) or (there.exists() and not (anchor and there.suffix == ".md")):
                continue
            if not there.exists() or anchor not in anchors(there):
                broken.append(f"{page.relative_to(root)}: {target}")
    assert not broken


def test_the_reference_has_every_public_name():
    shown = re.findall(r"heading: fedrisk\.(\w+)", (DOCS / "reference" / "python.md").read_text("utf-8"))
    assert sorted(shown) == sorted(fedrisk.__all__)


def test_docstrings_become_lists():
    docstrings = part("docstrings")
    assert doctest.testmod(docstrings).failed == 0
    text = "Both. low, high: ends, say a: b. Of `low`: nothing.\n\n>>> 1\n1\n\nSee :func:`run`."
    assert docstrings.rewritten(text, {"low", "high"}, "Args") == (
        "Both.\n\n```pycon\n>>> 1\n1\n```\n\nSee `run`.\n\n"
        "Args:\n    low, high: ends, say a: b. Of `low`: nothing."
    )
    assert docstrings.rewritten("Only: prose.", set(), "Args") == "Only: prose."


def test_a_notebook_is_a_page_with_tables_and_plots():
    text = part("hooks").cells_of(DOCS / "notebook.ipynb")
    assert '<div class="output"><svg' in text and text.count("<table>") >= 4
    assert "dataframe" not in text and "<style scoped" not in text
    assert "# A study in a notebook" in text and "```python\nresult.plot.roc()\n```" in text


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_search_on_a_disk_runs_without_a_network(tmp_path):
    (tmp_path / "inner.js").write_text(
        "importScripts('more.js').then(() => 0)\n"
        "addEventListener('message', e => postMessage(self.twice(e.data)))\n"
    )
    (tmp_path / "more.js").write_text("self.twice = n => 2 * n")
    (tmp_path / "page.html").write_text(
        "<meta charset=utf-8><title>x</title><body><script>"
        + (DOCS / "assets" / "iframe-worker.js").read_text("utf-8")
        + "</script><script>const w = new Worker('inner.js')\n"
        "w.addEventListener('message', e => { window.got = e.data })\n"
        "const again = setInterval(() => window.got ? clearInterval(again) : w.postMessage(21), 50)</script>"
    )
    browser = Browser()
    try:
        browser.open((tmp_path / "page.html").as_uri())
        browser.wait("window.got")
        assert browser.run("window.got") == 42
        assert all(address.startswith("file:") for address in browser.asked)
    finally:
        browser.close()
