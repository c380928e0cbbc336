"""The sheet of a self-check: every requirement, how it is tested, and what came of it, as a page and as Markdown.

Only what was run is said to be met. A requirement that is not claimed stands in the sheet with its reason, and counts
as nothing else.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fedrisk.language import N_, _, either
from fedrisk.report.page import render_page

Result = Literal["met", "failed", "not run", "not claimed"]

RESULTS: dict[Result, str] = {
    "met": N_("met"),
    "failed": N_("failed"),
    "not run": N_("not run"),
    "not claimed": N_("not claimed"),
}
"""Words for results, in the order in which they are counted."""

CLAUSES = {
    "copy": N_("clause by somebody's copy of the text"),
    "no": N_("clause number not verified"),
}
"""What is said of a clause's number that was not held against the official text."""


@dataclass(frozen=True, kw_only=True)
class TestLine:
    """One test of a requirement: its id, "passed", "failed" or "not run", cases that passed, and a note in English."""

    __test__ = False

    id: str
    outcome: str
    cases: int = 0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class RequirementLine:
    """One requirement in the language that is spoken. reason: why it is not claimed, or what limits the claim."""

    id: str
    clause: str
    clause_checked: str
    text: str
    result: Result
    tests: tuple[TestLine, ...] = ()
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class StandardPart:
    """The requirements of one standard."""

    name: str
    title: str
    edition: str
    source: str
    lines: tuple[RequirementLine, ...]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A self-check. digest: SHA-256 of the sources and tests. versions: of the programs that took part.

    left_out: requirements that nobody asked for; 0 of a whole one.
    """

    made: str
    seconds: float
    digest: str
    versions: dict[str, str]
    parts: tuple[StandardPart, ...]
    left_out: int = 0
    counts: dict[Result, int] = field(init=False)

    def __post_init__(self) -> None:
        found = Counter(line.result for part in self.parts for line in part.lines)
        object.__setattr__(self, "counts", {result: found[result] for result in RESULTS})

    @property
    def ok(self) -> bool:
        """Whether every requirement that is claimed was run and is met."""
        return not self.counts["failed"] and not self.counts["not run"]


def verdict(sheet: Sheet) -> str:
    """The sheet in one sentence, and another where it is a part."""
    said = _verdict(sheet)
    if sheet.left_out:
        said += " " + either(
            "This is a part: {count} further requirement was not asked for.",
            "This is a part: {count} further requirements were not asked for.",
            sheet.left_out,
        )
    return said


def _verdict(sheet: Sheet) -> str:
    n = sheet.counts
    claimed = sum(n.values()) - n["not claimed"]
    if sheet.ok:
        return _(
            "All {claimed} requirements that are claimed were tested and are met; {others} are not claimed.",
            claimed=claimed,
            others=n["not claimed"],
        )
    return _(
        "Of {claimed} requirements that are claimed, {failed} failed and {silent} did not run; "
        "{others} are not claimed.",
        claimed=claimed,
        failed=n["failed"],
        silent=n["not run"],
        others=n["not claimed"],
    )


def render(sheet: Sheet) -> str:
    """The page, in the language that is spoken."""
    return render_page(
        "conformance.html.jinja",
        sheet=sheet,
        verdict=verdict(sheet),
        results={result: _(words) for result, words in RESULTS.items()},
        clauses={code: _(words) for code, words in CLAUSES.items()},
        warning=warning(),
    )


def warning() -> str:
    """What the sheet is not."""
    return _(
        "A check by the software's own tests, on generated data. It is no certification and no assessment by anybody "
        "else; requirements are paraphrased, and the standards themselves decide. What an institution does around the "
        "software, its people, machines and contracts, is not in it."
    )


def markdown(sheet: Sheet) -> str:
    """The same as Markdown, in the language that is spoken."""
    lines = [f"# {_('Conformance: a self-check')}", "", f"**{verdict(sheet)}**", "", warning(), ""]
    lines += [f"- {_('made')}: {sheet.made}", f"- {_('SHA-256 of sources and tests')}: `{sheet.digest}`"]
    lines += [f"- {name}: {version}" for name, version in sheet.versions.items()]
    for part in sheet.parts:
        lines += ["", f"## {part.name}: {part.title}", "", f"{part.edition}. {part.source}", ""]
        lines += [
            _row([_("clause"), _("requirement"), _("result"), _("how it is tested")]),
            "| --- | --- | --- | --- |",
        ]
        lines += [_row(_cells(line)) for line in part.lines]
    return "\n".join(lines) + "\n"


def _cells(line: RequirementLine) -> list[str]:
    sure = CLAUSES.get(line.clause_checked)
    clause = line.clause + (f" ({_(sure)})" if sure and line.clause else "")
    tests = [
        f"`{t.id}`" + ("" if t.outcome == "passed" else f" **{_(_WORDS[t.outcome])}**") for t in line.tests
    ]
    how = "<br>".join([*tests, *([line.reason] if line.reason else [])])
    return [clause, f"{line.text} ({line.id})", f"**{_(RESULTS[line.result])}**", how]


_WORDS = {"failed": RESULTS["failed"], "not run": RESULTS["not run"]}


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
