"""docs/privacy-and-accuracy.md and its picture, made from page.md and results: no number of the page is written by hand.

    python -m benchmarks.privacy_accuracy.page

In ``page.md``, ``{auc|SET|MODEL|EPSILON}`` and the like stand for a figure of results.json, ``{claim|FOLDER|CLAIM|FIGURE}`` for
one that another benchmark claims, ``{table|NAME}`` for a table.
"""

from __future__ import annotations

import argparse
import html
import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.privacy_accuracy import picture, tables
from benchmarks.redo.manifest import BENCHMARKS, load, values

HERE = Path(__file__).resolve().parent
PAGE = BENCHMARKS.parent / "docs" / "privacy-and-accuracy.md"
PICTURE = PAGE.with_suffix(".svg")
MADE = "<!-- made by python -m benchmarks.privacy_accuracy.page from page.md and results.json; change these -->\n"

SEEDS = 5
"""Hold-outs of the whole sweep."""
UNMEASURED = "(not measured)"
_PLACE = re.compile(r"\{([a-z_]+(?:\|[^}|]*)+)\}")


def results() -> dict[str, Any]:
    """What the sweeps came to."""
    content: dict[str, Any] = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    return content


def filled(template: str, found: dict[str, Any]) -> str:
    """The page's text with its figures; KeyError names a figure that is not there."""
    lookups: dict[str, Callable[..., str]] = {
        "auc": lambda *at: tables.with_interval(tables.at(found, *at), "auc"),
        "value": lambda *at: tables.short(tables.at(found, *at)["auc"][0]),
        "boosting": lambda *at: tables.with_interval(tables.at(found, *at), "to_boosting", "+.3f"),
        "alone": lambda *at: tables.with_interval(tables.at(found, *at), "to_alone", "+.3f"),
        "slope": lambda *at: tables.short(tables.at(found, *at)["slope"][0], ".2f"),
        "epsilon": lambda epsilon, name, shape: tables.short(found["epsilon"][epsilon][name], shape),
        "megabytes": lambda *at: tables.short(tables.at(found, *at)["bytes"] / 1e6, ".0f"),
        "step": lambda name, low, high: tables.short(
            tables.at(found, name, "scorecard", high)["auc"][0]
            - tables.at(found, name, "scorecard", low)["auc"][0],
            "+.3f",
        ),
        "exchanges": lambda *at: tables.short(tables.at(found, *at)["exchanges"], ".0f"),
        "set": lambda name, key: f"{found['sets'][name][key]:,}",
        "hard": lambda name, key: f"{found['hard'][name][key]:,}",
        "gain": lambda name, epsilon: tables.with_interval(
            found["hard"][name]["after"][epsilon], "mean_gain", "+.3f"
        ),
        "lose": lambda name, epsilon: tables.short(found["hard"][name]["before"][epsilon]["lose"], ".0%"),
        "top": lambda name, shape: tables.short(_inner(found, name.split(".")), shape),
        "claim": _claimed,
        "bound": _asked,
        "note": lambda _: _note(found),
        "table": lambda name: tables.TABLES[name](found),
        "said": lambda _: picture.said(found),
    }

    def put(match: re.Match[str]) -> str:
        name, *words = match[1].split("|")
        try:
            return lookups[name](*words)
        except KeyError:
            if name == "table" or words[0] not in _known(found):
                raise
            return UNMEASURED

    return MADE + _PLACE.sub(put, template)


def _known(found: dict[str, Any]) -> set[str]:
    """What a placeholder may begin with: a figure of it can be missing, a misspelt name cannot."""
    return {*found["sets"], *found["hard"], *tables.NAMES, "foreseen.within", "foreseen.of"}


def _note(found: dict[str, Any]) -> str:
    """What is to be said of a sweep that is not whole yet."""
    seeds = min(one["seeds"] for one in found["sets"].values())
    return (
        "" if seeds >= SEEDS else f" **So far {seeds} of {SEEDS} hold-outs of each data set are measured.**"
    )


def _inner(found: Any, path: Sequence[str]) -> float:
    for key in path:
        found = found[key]
    return float(found)


@cache
def _claimed(folder: str, claim: str, figure: str) -> str:
    made = load(BENCHMARKS / folder)
    value = values(made, BENCHMARKS / folder)[f"{claim}: {figure}"]
    return UNMEASURED if value is None else made.figures[f"{claim}: {figure}"].text(value)


@cache
def _asked(folder: str, claim: str, figure: str) -> str:
    return load(BENCHMARKS / folder).figures[f"{claim}: {figure}"].asked


def made() -> str:
    """The page as results make it."""
    return filled((HERE / "page.md").read_text(encoding="utf-8"), results())


def write() -> None:
    """Write the page, and the picture where it is of other results."""
    PAGE.write_text(made(), encoding="utf-8")
    if not PICTURE.exists() or html.escape(picture.said(results())) not in PICTURE.read_text(
        encoding="utf-8"
    ):
        PICTURE.write_text(picture.svg(results()), encoding="utf-8")


def main() -> None:
    """Write page and picture."""
    PICTURE.unlink(missing_ok=True)
    write()


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    main()
