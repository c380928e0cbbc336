"""What moved: a figure of a new run against the kept one, its tolerance and its bound."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.redo.figures import Figure
from benchmarks.redo.manifest import Manifest

STATES = ("broken", "gone", "not met", "moved", "busy", "mended", "new", "holds", "same")
"""From what is worst to what is nothing; the first two end a round with exit code 1."""

BAD = ("broken", "gone")


@dataclass(frozen=True, kw_only=True)
class Move:
    """A figure before and after.

    state: broken (held before, does not now), gone (was there, is not now), not met (neither before nor now), moved
    (by more than repeats differ), busy (seconds beside other work, not judged), mended (did not hold before), new (was not there), holds, same (has no bound).
    """

    folder: str
    name: str
    figure: Figure
    old: float | None
    new: float | None
    state: str


def moves(
    made: Manifest,
    old: Mapping[str, float | None],
    new: Mapping[str, float | None],
    busy: Collection[str] = (),
) -> list[Move]:
    """All figures of a folder, before and after. busy: results files that were made while the machine had other work."""
    return [
        Move(
            folder=made.folder,
            name=name,
            figure=f,
            old=old[name],
            new=new[name],
            state=_state(f, old[name], new[name], busy=f.timing and f.file in busy),
        )
        for name, f in made.figures.items()
        # What neither run has was not asked for.
        if (old[name], new[name]) != (None, None)
    ]


def _state(figure: Figure, old: float | None, new: float | None, *, busy: bool) -> str:
    if new is None:
        return "gone"
    holds, before = figure.holds(new), None if old is None else figure.holds(old)
    moved = old is not None and abs(new - old) > figure.same
    if busy and (holds is False or moved):
        return "busy"
    if holds is False:
        return "broken" if before else "not met"
    if old is None or before is False:
        return "new" if old is None else "mended"
    if moved:
        return "moved"
    return "same" if holds is None else "holds"


def as_table(found: Sequence[Move], *, only_moved: bool = False) -> str:
    """Figures as Markdown, the worst first: old, new, what is asked, state."""
    lines = [
        "| folder | figure | old | new | repeats differ by | asked | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    shown = [m for m in found if not (only_moved and m.state in ("holds", "same"))]
    for m in sorted(shown, key=lambda m: (STATES.index(m.state), m.folder, m.name)):
        f = m.figure
        asked = f"{f.side} {f.asked}" if f.asked else ""
        old, new = ("–" if v is None else f.text(v) for v in (m.old, m.new))
        lines.append(f"| {m.folder} | {m.name} | {old} | {new} | {f.same:g} | {asked} | {m.state} |")
    return "\n".join(lines)
