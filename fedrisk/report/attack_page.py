"""What attacks left, for people (index.html) and for programs (attacks.json)."""

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from fedrisk.attacks.attack import Effort, Measured
from fedrisk.attacks.playing import Played
from fedrisk.errors import ConfigError
from fedrisk.files import make_folders, write_atomic
from fedrisk.language import _, either, listed, of_kind
from fedrisk.report import attack_words as words
from fedrisk.report import plots
from fedrisk.report.page import render_page
from fedrisk.report.plots import Bar, Plot
from fedrisk.report.words import word

PAGE, PLAIN = "index.html", "attacks.json"

FORMAT = 1
"""Format of attacks.json; one more with every change that a reader must know of."""

MOST_BARS = 16
"""Figures that one plot shows, those nearest to their bound; all are in the table."""


def as_plain(played: Sequence[Played], effort: Effort) -> dict[str, Any]:
    """Everything for programs: who was attacked how, figures, verdicts and versions."""
    outcomes = [one.outcome for one in played]
    worst = next((o for o in ("broken", "failed", "control failed") if o in outcomes), "held")
    return {
        "format": FORMAT,
        "outcome": worst if outcomes else "failed",
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "versions": {name: metadata.version(name) for name in ("fedrisk", "numpy", "scipy", "flwr")}
        | {"python": platform.python_version()},
        "quick": effort.quick,
        "seed": effort.seed,
        "seconds": sum(one.seconds for one in played),
        "attacks": [_plain(one) for one in played],
    }


def _plain(one: Played) -> dict[str, Any]:
    return {
        "name": one.attack.name,
        "attacker": one.attack.attacker,
        "knows": one.attack.knows,
        "wants": one.attack.wants,
        "how": one.attack.how,
        "sources": list(one.attack.sources),
        "outcome": one.outcome,
        "failed": one.failed,
        "seconds": one.seconds,
        "figures": [{**asdict(f), "broken_from": f.broken_from, "verdict": f.verdict} for f in one.figures],
    }


def ready(folder: Path) -> None:
    """See to it that a folder takes the files, before attacks that may last an hour; earlier ones are replaced.

    Raises:
        ConfigError: it is no folder, or has a page of something else.
        StoreError: it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is a file; name a folder, which need not be there yet")
    if (folder / PAGE).exists() and not (folder / PLAIN).exists():
        raise ConfigError(
            f"{folder / PAGE} is there, and no {PLAIN} beside it: it is the page of something else and would be "
            "replaced; name another folder by --out"
        )
    make_folders(folder)


def write_attacks(content: dict[str, Any], played: Sequence[Played], folder: Path) -> list[Path]:
    """Write both files into a folder; StoreError where the disk does not take them."""
    plain = json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / PLAIN, plain.encode(), private=False)
    write_atomic(folder / PAGE, render(content, played).encode(), private=False)
    return [folder / PLAIN, folder / PAGE]


def _finite(content: Any) -> Any:
    """JSON has no infinity: it is written as a text."""
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list) else content


def render(content: dict[str, Any], played: Sequence[Played]) -> str:
    """The page."""
    figures = [f for one in played for f in one.figures]
    controls = [f for f in figures if f.control]
    return render_page(
        "attacks.html.jinja",
        content=content,
        answer=_answer(played),
        kind={"held": "first", "control failed": "doubt"}.get(content["outcome"], "alarm"),
        counts={
            "attacks": len(played),
            "held": sum(f.verdict == "held" for f in figures),
            "broken": sum(f.verdict == "broken" for f in figures),
            "unjudged": sum(f.verdict == "not judged" for f in figures),
            "controls": len(controls),
            "succeeded": sum(f.verdict == "control succeeded" for f in controls),
        },
        sureness=words.sureness(figures),
        played=[_section(one) for one in played],
        w=words,
    )


def _answer(played: Sequence[Played]) -> list[str]:
    """What all attacks came to, the most important first."""
    by_outcome = {
        code: [one.attack.name for one in played if one.outcome == code]
        for code in ("broken", "failed", "control failed", "held")
    }
    said = []
    if by_outcome["broken"]:
        said.append(
            _(
                "The product gave away more than it claims: {names}. Do not rely on the claim until this is mended.",
                names=listed(by_outcome["broken"]),
            )
        )
    if by_outcome["failed"]:
        said.append(
            _(
                "Some attacks did not come to their end, and say nothing: {names}.",
                names=listed(by_outcome["failed"]),
            )
        )
    if by_outcome["control failed"]:
        said.append(
            _(
                "Some attacks found nothing even with the protection switched off, so that they say nothing of the "
                "product: {names}.",
                names=listed(by_outcome["control failed"]),
            )
        )
    if by_outcome["held"]:
        count = len(by_outcome["held"])
        said.append(
            either(
                "{count} attack learnt no more than is claimed, and succeeded where the protection was switched off.",
                "{count} attacks learnt no more than is claimed, and succeeded where the protection was switched off.",
                count,
            )
        )
    return said


def _section(one: Played) -> dict[str, Any]:
    """One attack as the page shows it."""
    nearest = _nearest(one.figures)
    units = list(dict.fromkeys(f.figure for f in nearest))
    return {
        "attack": one.attack,
        "outcome": one.outcome,
        "failed": one.failed,
        "plots": [p for unit in units for p in _plot([f for f in nearest if f.figure == unit])],
        "rows": [_row(f) for f in nearest if not f.control],
        "controls": [_row(f) for f in one.figures if f.control],
        "all": [_row(f) for f in one.figures if not f.control] if len(nearest) < len(one.figures) else [],
    }


def _nearest(figures: Sequence[Measured]) -> list[Measured]:
    """Of each target and unit, the figure nearest to its bound; every control."""
    best: dict[tuple[str, str, str], Measured] = {}
    for f in figures:
        key = (f.target, f.figure, f.control)
        if key not in best or _against(f) > _against(best[key]):
            best[key] = f
    return list(best.values())


def _row(f: Measured) -> dict[str, Any]:
    return {
        "target": words.said_target(f),
        "control": words.control_words(f),
        "figure": word("attack_figure", f.figure),
        "value": words.number(f.value),
        "interval": words.interval(f),
        "chance": words.number(f.chance),
        "claimed": words.number(f.claimed),
        "share": f"{f.value / f.claimed:.0%}" if f.claimed and math.isfinite(f.value / f.claimed) else "",
        "verdict": words.verdict_words(f.verdict),
        "broken_from": words.broken_from(f),
        "bad": f.verdict in ("broken", "control failed"),
        "unsure": f.verdict == "not judged",
        "tries": either("{count:,} try", "{count:,} tries", f.trials),
        "method": f.method,
    }


def _plot(figures: Sequence[Measured]) -> list[tuple[str, Plot, str]]:
    """(caption, plot, note) of the figures of one unit; none where nothing can be drawn.

    Figures that are all held against a claim are drawn as shares of it.
    """
    shown = [f for f in figures if all(map(math.isfinite, (f.value, f.low, f.high)))]
    if not shown:
        return []
    share = all(f.claimed for f in shown)
    shown = sorted(shown, key=lambda f: -_against(f))
    most = shown[:MOST_BARS]
    bars = [_bar(f, share) for f in most]
    unit = word("attack_figure", most[0].figure)
    marks = [(1.0, of_kind("plot", "What is claimed"))] if share else _common(most)
    axis = of_kind("plot", "Times what is claimed") if share else unit
    left = len(figures) - len(most)
    alt = _(
        "{figure} of {count} targets, with intervals; the table has the figures.",
        figure=unit,
        count=len(most),
    )
    note = (
        either(
            "{count} further figure is in the table alone.",
            "{count} further figures are in the table alone.",
            left,
        )
        if left
        else ""
    )
    return [(unit, plots.bars(bars, alt=alt, axis=axis, marks=marks, dots=not share), note)]


def _against(f: Measured) -> float:
    """How near a figure is to its bound; those of the product before controls."""
    return (f.value / f.bound if f.bound else f.value) - (1e6 if f.control else 0.0)


def _bar(f: Measured, share: bool) -> Bar:
    scale = f.claimed if share and f.claimed else 1.0
    group = (
        of_kind("plot", "A control: protection switched off") if f.control else of_kind("plot", "The product")
    )
    exact = f.low == f.high
    return Bar(
        label=words.short_target(f),
        value=f.value / scale,
        low=None if exact else f.low / scale,
        high=None if exact else f.high / scale,
        group=group,
    )


def _common(figures: Sequence[Measured]) -> list[tuple[float, str]]:
    """Chance and claim, where they are the same for all figures."""
    out = []
    for values, name in (
        ({f.claimed for f in figures}, of_kind("plot", "What is claimed")),
        ({f.chance for f in figures}, of_kind("plot", "By guessing")),
    ):
        value = values.pop() if len(values) == 1 else None
        if value is not None:
            out.append((value, name))
    return out
