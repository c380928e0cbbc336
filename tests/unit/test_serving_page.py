"""The page about serving is as the program is: every code with its words, every command with its options."""

import re
from pathlib import Path

import pytest

from fedrisk.serving.codes import OWN, PASSING, ROWS, SERVICE, WHOLE
from fedrisk.serving.words import WORDS

FILE = Path(__file__).parents[2] / "docs" / "serving.md"
PAGE = FILE.read_text(encoding="utf-8")
BEGIN, END = "<!-- codes: made by tests/unit/test_serving_page.py -->", "<!-- end of codes -->"
PARTS = {
    "A member, for the whole question": WHOLE,
    "A member, about one enterprise": ROWS,
    "The bank's own node, about one enterprise": OWN,
    "The bank's own node, for the whole request": SERVICE,
}


def table():
    """The table of codes, in Markdown."""
    lines = []
    for title, codes in PARTS.items():
        lines += [
            f"**{title}**",
            "",
            "| code | what it means and what to do | passes |",
            "| --- | --- | --- |",
        ]
        for code in codes:
            words = WORDS[code][0].upper() + WORDS[code][1:]
            lines.append(f"| `{code}` | {words} | {'yes' if code in PASSING else ''} |")
        lines.append("")
    return "\n".join(lines)


def test_every_code_stands_on_the_page_with_its_words():
    """To write it anew: python tests/unit/test_serving_page.py."""
    assert PAGE.partition(BEGIN)[2].partition(END)[0].strip() == table().strip()


@pytest.mark.parametrize(
    "file", ["consents.md", "current-data.md", "decisions.md", "measures.md", "consortium.md"]
)
def test_the_page_leads_to_what_it_leaves_out(file):
    assert f"]({file}" in PAGE and (FILE.parent / file).exists()


def test_nothing_is_left_to_be_filled_in():
    assert not re.findall(r"\b(?:SEE|TODO)_?[A-Z]*\b", PAGE)


if __name__ == "__main__":
    head, tail = PAGE.partition(BEGIN)[0], PAGE.partition(END)[2]
    FILE.write_text(f"{head}{BEGIN}\n\n{table()}\n{END}{tail}", encoding="utf-8")
