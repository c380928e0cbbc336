"""Results as people read them: every institution by its display name, where the study gives it one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fedrisk.findings import Finding
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipe import Cell, Section
from fedrisk.server.results import Results

_NAMED = frozenset(
    ["holder", "trainer", "names", "sender", "receiver", "institution", "counterparty", "bank"]
)
"""Values of findings that name institutions, or features as INSTITUTION.COLUMN."""


def for_people(results: Results) -> Results:
    """The same results with display names in place of names; the files of a run keep the names."""
    names = results.display_names
    if not names:
        return results

    def keyed(table: Mapping[str, Any] | None) -> Any:
        return None if table is None else {names.get(k, k): v for k, v in table.items()}

    return replace(
        results,
        rows=replace(
            results.rows,
            training=keyed(results.rows.training),
            holdout=keyed(results.rows.holdout),
            overlap=keyed(results.rows.overlap),
        ),
        spends=tuple(
            {**s, "institution": names.get(s["institution"], s["institution"])} for s in results.spends
        ),
        by_bank=keyed(results.by_bank),
        bytes_sent=keyed(results.bytes_sent),
        bytes_received=keyed(results.bytes_received),
        institutions=keyed(results.institutions),
        left_out=tuple(names.get(n, n) for n in results.left_out),
        disclosures=tuple(
            replace(
                d,
                institution=names.get(d.institution, d.institution),
                counterparty=names.get(d.counterparty, d.counterparty),
            )
            for d in results.disclosures
        ),
        sections=tuple(_section(s, names) for s in results.sections),
        expectation=None if results.expectation is None else _finding(results.expectation, names),
        verdict=tuple(_finding(f, names) for f in results.verdict),
        findings=tuple(_finding(f, names) for f in results.findings),
        disagreements=tuple(_finding(f, names) for f in results.disagreements),
        card=None if results.card is None else _card(results.card, names),
    )


def _card(card: Scorecard, names: Mapping[str, str]) -> Scorecard:
    bins = tuple(
        replace(
            b, feature=replace(b.feature, institution=names.get(b.feature.institution, b.feature.institution))
        )
        for b in card.bins
    )
    partial = {names.get(k, k): v for k, v in card.partial_sd.items()}
    return replace(card, bins=bins, partial_sd=partial)


def _section(section: Section, names: Mapping[str, str]) -> Section:
    return replace(section, rows=tuple(tuple(_cell(c, names) for c in row) for row in section.rows))


def _cell(cell: Cell, names: Mapping[str, str]) -> Cell:
    if isinstance(cell, Finding):
        return _finding(cell, names)
    # A cell without a column's name is a code, which has words of its own.
    return _listed(cell, names) if isinstance(cell, str) and "." in cell else cell


def _finding(found: Finding, names: Mapping[str, str]) -> Finding:
    values = {
        k: _listed(v, names) if k in _NAMED and isinstance(v, str) else v for k, v in found.values.items()
    }
    return replace(found, values=values)


def _listed(text: str, names: Mapping[str, str]) -> str:
    """Names, or names of features, one after the other."""
    return ", ".join(_shown(part, names) for part in text.split(", "))


def _shown(text: str, names: Mapping[str, str]) -> str:
    name, dot, column = text.partition(".")
    return f"{names.get(name, name)}{dot}{column}"
