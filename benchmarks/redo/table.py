"""The table of claims in benchmarks/README.md, made from manifests and results: no number is written twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.redo.manifest import BENCHMARKS, PARTS, Claim, Manifest, values, written

BEGIN, END = "<!-- made by python -m benchmarks.redo table -->", "<!-- end -->"


def table(manifests: Mapping[str, Manifest], root: Path = BENCHMARKS) -> str:
    """The table as Markdown, by part and place."""
    rows: list[tuple[Claim, str, dict[str, float | None]]] = []
    for name, made in manifests.items():
        found = values(made, root / name)
        rows += [(claim, name, found) for claim in made.claims]
    lines: list[str] = []
    for part, heading in PARTS.items():
        lines += ["", f"## {heading}", "", "| claim | measured | folder |", "| --- | --- | --- |"]
        for claim, name, found in sorted(rows, key=lambda row: (row[0].place, row[1])):
            if claim.part == part:
                texts = written(claim.says, claim, found), _measured(claim, found)
                mark = " (by hand)" if claim.by_hand else ""
                lines.append(f"| {' | '.join(texts)} | [{name}]({name}){mark} |")
    return "\n".join([BEGIN, *lines, "", END])


def _measured(claim: Claim, found: Mapping[str, float | None]) -> str:
    """What came out; where nothing was measured yet, what it waits for, in place of a sentence of gaps."""
    if claim.waits and all(found[f"{claim.name}: {name}"] is None for name in claim.figures):
        return f"not measured yet: waits for {claim.waits}"
    return written(claim.measured, claim, found)


def renewed(text: str, made: str) -> str:
    """A README with its table anew; ValueError where the marks are not in it."""
    begin, end = text.index(BEGIN), text.index(END)
    return text[:begin] + made + text[end + len(END) :]
