"""``fedrisk drift``: what changed between two studies, from what both released already."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import err, note, plain_table, tell, tell_json, tell_table
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.analysis.changes import Change
    from fedrisk.analysis.drift import Called, Drift

Old = Annotated[
    Path,
    typer.Argument(
        help="The older run: its folder or release record, for example results/may.", show_default=False
    ),
]
New = Annotated[
    Path,
    typer.Argument(
        help="The newer run: its folder or release record, for example results/june.", show_default=False
    ),
]
Rate = Annotated[
    float, typer.Option("--rate", help="Stated rate of false alarms over all comparisons, for example .05.")
]


def drift(old: Old, new: New, rate: Rate = 0.05, as_json: AsJson = False) -> None:
    """What changed from one study to the next: from their released sums alone, at no further price.

    Two statistics studies with the same cells and measures, or two scorecard studies. The privacy noise is taken into
    account: where nothing changed, an alarm comes at the stated rate at most. The exit code says nothing of a change.
    """
    from fedrisk.analysis.drift import drift as compare
    from fedrisk.api import load_record

    found = compare(load_record(old), load_record(new), rate=rate)
    if as_json:
        tell_json(plain(found))
        return
    if found.research:
        err.print(_("[bold white on red] research run: no privacy [/]"))
    _show(found)


def plain(found: "Drift") -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "old": found.old,
        "new": found.new,
        "research": found.research,
        "rate": found.rate,
        "changed": found.changed,
        "p": found.p,
        "comparisons": [
            {**_plain_change(c.change), "holm": c.holm, "bh": c.bh, "changed": c.holm <= found.rate}
            for c in found.called
        ],
        "silent": dict(found.silent),
        "notes": list(found.notes),
    }


def _plain_change(change: "Change") -> dict[str, Any]:
    index = None if change.index is None else vars(change.index)
    cells = [{"cell": name, "holm": p} for name, p in change.cells]
    return {**vars(change), "index": index, "cells": cells}


def _show(found: "Drift") -> None:
    from fedrisk.report.words import word

    columns = ("p", "of all", "old", "new", "index")
    table = plain_table("", "what", "", *columns, "95 %", right=(*columns, "95 %"), whole=(*columns, "95 %"))
    for one in found.called:
        table.add_row(*_row(one, found.rate), style="bold" if one.holm <= found.rate else None)
    if found.called:
        tell_table(table)
    for one in found.found:
        clear = [name for name, p in one.change.cells if p <= found.rate]
        if clear:
            tell(_("  {name}: most in {clear}", name=one.change.name, clear="; ".join(clear)))
    for name, code in found.silent.items():
        note(f"{name}: {word('drift', code)}")
    for code in found.notes:
        note(word("drift", code))
    tell(_verdict(found), "bold")


def _row(one: "Called", rate: float) -> list[str]:
    c = one.change
    index, interval = "", ""
    if c.index is not None:
        index, interval = (
            f"{c.index.index:.3f}",
            _("{low:.3f} to {high:.3f}", low=c.index.low, high=c.index.high),
        )
    ratio = c.kind != "shares"
    old, new = (
        _("in noise") if math.isnan(v) else f"{v:.4g}" if ratio else f"{v:,.0f}" for v in (c.old, c.new)
    )
    mark = "changed" if one.holm <= rate else "perhaps" if one.bh <= rate else ""
    return [c.name, mark, _chance(c.p), _chance(one.holm), old, new, index, interval]


def _chance(p: float) -> str:
    """A p-value; none is said to be 0.

    >>> _chance(0.0423), _chance(1e-9)
    ('0.042', '< 0.0001')
    """
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.001 else f"{p:.3f}"


def _verdict(found: "Drift") -> str:
    rate = f"{found.rate:.0%}"
    if not found.called:
        return _("nothing can be said: noise leaves no comparison")
    if not found.changed:
        return _(
            "no change is shown, at a false-alarm rate of {rate} (p {p}); that proves no standstill",
            rate=rate,
            p=_chance(found.p),
        )
    names = ", ".join(c.change.name for c in found.found)
    return _(
        "changed, at a false-alarm rate of {rate}: {names} (p {p})",
        rate=rate,
        names=names,
        p=_chance(found.p),
    )
