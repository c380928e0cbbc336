"""What every page for people has to be: readable on any screen and on paper, accessible, whole without network.

The fixture ``browser`` is one for all pages, and one call is for a page::

    pytestmark = pages.NEEDS_CHROMIUM


    def test_my_page_is_readable(browser, tmp_path):
        pages.check(browser, tmp_path / "page.html", render_my_page())
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support.browser import CHROMIUM, Browser

NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
LARGEST = 5_000_000
"""Bytes that a page may have."""

WIDE, PHONE, PAPER = 1200, 390, 703
"""Widths in px: of a screen, of a phone, of A4 paper within its margins."""

SMALLEST_TEXT = 7.0
"""Px: below it nobody reads a text of a plot."""


def one_browser() -> Iterator[Browser]:
    """A browser, for a fixture."""
    browser = Browser(WIDE, 900)
    yield browser
    browser.close()


def check(browser: Browser, file: Path, content: str | None = None, *, axe: bool = True) -> None:
    """AssertionError with everything that is wrong with a page; content: is written to the file first.

    axe: also ask axe-core, which takes about half a second.
    """
    if content is not None:
        file.write_text(content, encoding="utf-8")
    faults = of_file(file.read_text(encoding="utf-8"))
    show(browser, file)
    faults += asked(browser, file)
    if axe:
        faults += of_axe(browser)
    for width in (WIDE, PHONE, PAPER):
        faults += [f"at {width} px: {fault}" for fault in of_boxes(browser, width)]
    assert not faults, "\n".join([f"{len(faults)} faults of {file.name}", *faults[:40]])


def show(browser: Browser, file: Path) -> None:
    """Open a page, with all that is folded open."""
    browser.media("screen")
    browser.size(WIDE, 900)
    browser.asked.clear()
    browser.told.clear()
    browser.open(file.resolve().as_uri())
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")


def of_file(content: str) -> list[str]:
    """What the text of a page has and must not: size, scripts, files from outside, texts that were not made."""
    faults = []
    if len(content.encode()) > LARGEST:
        faults.append(f"{len(content.encode()):,} bytes are more than {LARGEST:,}")
    if re.search(r"<script|javascript:|\son\w+\s*=\s*[\"']", content, re.IGNORECASE):
        faults.append("it has a script")
    # Names of XML namespaces are addresses which nobody opens.
    if outside := re.findall(
        r"""(?:src|href|url)\s*[=(]\s*["']?(https?://[^"')\s>]+)""", _without_links(content)
    ):
        faults.append(f"it asks for {outside[:3]}")
    return faults


def _without_links(content: str) -> str:
    """Without the links that a reader may follow."""
    return re.sub(r"<a\s[^>]*>", "", content)


def asked(browser: Browser, file: Path) -> list[str]:
    """What the page loaded beside itself, and what its console told."""
    own = file.resolve().as_uri()
    loaded = [a for a in browser.asked if a != own and not a.startswith("data:")]
    return [f"it loads {address}" for address in loaded] + [f"console: {text}" for text in browser.told]


@cache
def _axe() -> str:
    import axe_core_python

    return (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def of_axe(browser: Browser) -> list[str]:
    """Serious and critical findings of axe-core (WCAG 2, levels A and AA, and good practice) on the page shown.

    Contrast takes axe most of its time, and texts of one kind have one contrast: it looks at one of each kind.
    """
    browser.run(_axe() + ";0")
    found: list[dict[str, Any]] = json.loads(browser.run(f"({AXE})()"))
    return [
        f"axe: {v['id']} ({v['impact']}): {v['help']}: {node['html'][:160]}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"][:4]
    ]


AXE = r"""async () => {
  const kinds = new Map();
  for (const e of document.body.querySelectorAll('*')) {
    if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    let kind = '';
    for (let p = e; p && p !== document.body; p = p.parentElement)
      kind += `${p.localName}.${p.className}[${p.style.cssText.replace(/(left|right|width):[^;]*;?/g, '')}] `;
    if (!kinds.has(kind)) kinds.set(kind, e);
  }
  const shape = await axe.run(document, {resultTypes: ['violations'], rules: {'color-contrast': {enabled: false}}});
  const contrast = await axe.run([...kinds.values()], {resultTypes: ['violations'], runOnly: ['color-contrast']});
  return JSON.stringify([...shape.violations, ...contrast.violations]);
}"""


def of_boxes(browser: Browser, width: int) -> list[str]:
    """Texts that are cut off, lie over each other or are too small, and a page wider than its screen."""
    browser.media("print" if width == PAPER else "screen")
    browser.size(width, 900)
    faults: list[str] = json.loads(browser.run(f"({BOXES})({SMALLEST_TEXT}, {width})"))
    return faults


# Texts of closed or hidden parts have no box. Boxes of lines are as high as the font allows, so that lines of one
# paragraph touch: only what lies over each other by more than a third of its height is a fault.
BOXES = r"""(smallest, width) => {
  const faults = [], boxes = [];
  const said = (e) => (e.textContent || '').trim().replace(/\s+/g, ' ').slice(0, 60);
  const page = document.documentElement;
  if (page.scrollWidth > width + 1) faults.push(`the page is ${page.scrollWidth} px wide`);
  const scrolls = (s) => ['auto', 'scroll'].includes(s.overflowX);
  for (const e of document.body.querySelectorAll('*')) {
    if (e.closest('svg') || !e.checkVisibility() || !said(e)) continue;
    const s = getComputedStyle(e);
    if (s.display.startsWith('inline') && s.display !== 'inline-block') continue;
    if (e.scrollWidth > e.clientWidth + 1 && !scrolls(s) && e.clientWidth)
      faults.push(`wider than its box by ${e.scrollWidth - e.clientWidth} px: <${e.localName} class="${e.className}"> ${said(e)}`);
    if (['hidden', 'clip'].includes(s.overflowY) && e.scrollHeight > e.clientHeight + 2)
      faults.push(`cut off below: <${e.localName} class="${e.className}"> ${said(e)}`);
  }
  const clip = (r, e) => {
    let [left, top, right, bottom] = [r.left, r.top, r.right, r.bottom];
    for (let p = e; p && p !== document.body; p = p.parentElement) {
      if (!scrolls(getComputedStyle(p))) continue;
      const b = p.getBoundingClientRect();
      left = Math.max(left, b.left); right = Math.min(right, b.right);
    }
    return {left, top, right, bottom};
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const e = node.parentElement;
    if (!node.data.trim() || ['style', 'script', 'title', 'desc', 'metadata'].includes(e.localName) || !e.checkVisibility()) continue;
    if (e.closest('svg')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const r of range.getClientRects()) {
      const b = clip(r, e);
      if (b.right - b.left > 1 && b.bottom - b.top > 1) boxes.push({...b, text: said(node)});
    }
  }
  for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect();
    if (!svg.checkVisibility() || !frame.width) continue;
    for (const t of svg.querySelectorAll('text')) {
      if (!said(t)) continue;
      const r = t.getBoundingClientRect(), m = t.getScreenCTM();
      const size = parseFloat(getComputedStyle(t).fontSize) * Math.hypot(m.a, m.b);
      if (size < smallest) faults.push(`text of ${size.toFixed(1)} px in a plot: ${said(t)}`);
      if (r.left < frame.left - 1.5 || r.right > frame.right + 1.5 || r.top < frame.top - 3 || r.bottom > frame.bottom + 3)
        faults.push(`cut off at the edge of a plot: ${said(t)}`);
      // The box of a text that lies askew says nothing of where its letters are.
      const askew = Math.abs(m.a) > .01 && Math.abs(m.b) > .01;
      if (!askew) boxes.push({...clip(r, svg.parentElement), text: said(t), plot: true});
    }
  }
  boxes.sort((a, b) => a.top - b.top);
  for (let i = 0; i < boxes.length; i++) {
    const a = boxes[i];
    for (let k = i + 1; k < boxes.length && boxes[k].top < a.bottom; k++) {
      const b = boxes[k];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - b.top;
      const least = Math.min(a.bottom - a.top, b.bottom - b.top);
      if (wide > 2 && high > .35 * least) faults.push(`over each other: "${a.text}" and "${b.text}"`);
    }
  }
  return JSON.stringify(faults);
}"""
