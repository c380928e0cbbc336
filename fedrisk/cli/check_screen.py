"""What ``fedrisk check`` shows, on the screen and as JSON.

In the order in which it is read from the end: the verdict last, above it what would be refused, above that what people
should look at. Like remarks of several columns stand on one line, unless everything is asked for.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fedrisk.cli import output
from fedrisk.data.checks import Check as TableCheck
from fedrisk.engine.checked import Check, Line
from fedrisk.findings import Finding
from fedrisk.language import _, either, of_kind
from fedrisk.language_patterns import retold
from fedrisk.report.words import sentence, word

MOST_NAMES = 6
"""Columns that a line of like remarks names."""

_FIGURES = re.compile(r" \[[^\]]*\]|\d[\d,.]*")
"""What like remarks may differ in: bounds and numbers."""


def show(found: Check, *, as_json: bool) -> None:
    """Print what was found; Exit with code 1 where the study would be refused."""
    if as_json:
        output.tell_json(plain(found))
    else:
        output.out.print(screen(found, verbose=output.screen.verbose), highlight=False)
    if found.broken:
        raise typer.Exit(1)


def screen(found: Check, *, verbose: bool) -> RenderableType:
    """Everything that was found, for a terminal."""
    parts: list[RenderableType] = [_institutions(found)]
    if found.common:
        parts += [Text(), _common(found)]
    if found.plan is not None and not found.alone:
        parts += [Text(), _cost(found)]
    if found.expectations:
        parts += _block("expected", [(None, sentence(f)) for f in found.expectations])
    parts += _block("notes", [*_notes(found, verbose)], "dim")
    parts += _block("asked", [*_asked(found, verbose)], "yellow")
    parts += _block("refused", [*_refused(found)], "red")
    parts += [Text(), verdict(found)]
    return Group(*parts)


def verdict(found: Check) -> Text:
    """The last line."""
    name, reasons = found.study, found.reasons
    asked = len([*_asked(found, False)])
    look = either("; {count} thing worth a look", "; {count} things worth a look", asked) if asked else ""
    if found.alone:
        good = _("{institution} alone would take part", institution=found.institutions[0].name)
        bad = _("{institution} alone would refuse", institution=found.institutions[0].name)
    elif found.public:
        good, bad = _("by what is public would run"), _("by what is public would be refused")
    else:
        good, bad = _("would run"), _("would be refused")
    if not reasons:
        return Text(_("study {name}: {verdict}", name=name, verdict=good) + look, style="bold green")
    why = either(", for {count} reason", ", for {count} reasons", reasons)
    return Text(_("study {name}: {verdict}", name=name, verdict=bad) + why + look, style="bold red")


def plain(found: Check) -> dict[str, Any]:
    """Everything that was found, as JSON has it; findings as codes with figures, and in words."""
    return {
        "study": found.study,
        "refused": found.broken,
        "reasons": found.reasons,
        "refusals": [
            *({"institution": None, "text": text} for text in found.refused),
            *({"institution": n, "text": text} for n, text in _refused(found, owner=False) if n is not None),
        ],
        "alone": found.alone,
        "public": found.public,
        "institutions": [_line(line, found.content.display_names) for line in found.institutions],
        "common": [asdict(c) for c in found.common],
        "cost": _prices(found),
        "asked": [*map(_finding, found.asked)],
        "expectations": [*map(_finding, found.expectations)],
    }


def _line(line: Line, shown: Mapping[str, str]) -> dict[str, Any]:
    labels = line.labels
    return {
        "name": line.name,
        "display_name": shown.get(line.name),
        "role": line.role,
        "mu": line.mu,
        "fedrisk": line.speaks or None,
        "rows": line.rows,
        "columns": line.features,
        "labelled": None if labels is None else labels.labelled,
        "positive": None if labels is None else labels.positive,
        "new_ids": line.new,
        "left_out": line.left_out,
        "refused": [*line.refused],
        # Row numbers and values are for the owner's screen alone; JSON is kept and passed on.
        "checks": [{k: v for k, v in asdict(c).items() if k not in ("at", "values")} for c in line.checks],
        "asked": [*map(_finding, line.asked)],
        "notes": [*map(_finding, line.notes)],
    }


def _finding(found: Finding) -> dict[str, Any]:
    # A value of the table is for the owner's screen alone.
    found = replace(found, values={k: v for k, v in found.values.items() if k != "value"})
    return {
        "code": found.code,
        "values": dict(found.values),
        "text": next(_findings([(None, found)], True))[1],
    }


def _prices(found: Check) -> list[dict[str, Any]]:
    if found.plan is None or found.alone:
        return []
    return [{"release": p.name, "mu": p.mu, "noise": p.deviation} for p in found.plan.planned]


def _both(name: str, shown: Mapping[str, str]) -> str:
    """An institution's display name with the name by which commands know it."""
    return f"{shown[name]} ({name})" if name in shown else name


def _institutions(found: Check) -> RenderableType:
    study = found.content
    privacy = (
        _("no privacy")
        if math.isinf(study.privacy.epsilon)
        else _("epsilon {epsilon:g}", epsilon=study.privacy.epsilon)
    )
    title = _title(
        _(
            "study {name}: {purpose}, {recipe}, {privacy}",
            name=study.name,
            purpose=study.purpose,
            recipe=study.recipe,
            privacy=privacy,
        )
    )
    if found.public:
        return Group(title, _members(found))
    table = _table("institution", "role", "rows", "columns", "positive", "new ids")
    for line in found.institutions:
        table.add_row(
            _both(line.name, study.display_names),
            _role(line),
            f"{line.rows:,}",
            str(line.features),
            _positive(line),
            "" if line.new is None else f"{line.new:,}",
            style="red" if line.broken else None,
        )
    return Group(title, table)


def _role(line: Line) -> str:
    role = word("role", line.role)
    return _("{role}, left out", role=role) if line.left_out else role


def _members(found: Check) -> RenderableType:
    """Members as a roster knows them, with what they would be charged."""
    table = _table("institution", "role", "fedrisk", "mu")
    for line in found.institutions:
        table.add_row(
            _both(line.name, found.content.display_names),
            _role(line),
            line.speaks or "–",
            "–" if line.mu is None else f"{line.mu:.3f}",
            style="red" if line.broken else None,
        )
    return table


def _title(text: str) -> Text:
    return Text(text, style="bold")


def _table(*columns: str) -> Table:
    """A table without lines; words to the left, numbers to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        left = column in ("institution", "role", "release", "noise, in enterprises", "")
        table.add_column(output.heading(column), justify="left" if left else "right", overflow="fold")
    return table


def _positive(line: Line) -> str:
    labels = line.labels
    if labels is None or not labels.labelled:
        return ""
    return f"{labels.positive:,.0f} ({labels.rate:.1%})"


def _common(found: Check) -> RenderableType:
    """Enterprises in common, by bank and holder; all tables lie on this machine, so nobody learns anything here."""
    holders = list(dict.fromkeys(c.holder for c in found.common))
    table = _table("", *holders)
    for bank in dict.fromkeys(c.bank for c in found.common):
        known = {c.holder: c for c in found.common if c.bank == bank}
        cells = [f"{known[h].enterprises:,} ({known[h].share:.0%})" if h in known else "–" for h in holders]
        table.add_row(bank, *cells)
    return Group(_title(word("check", "common")), table)


def _cost(found: Check) -> RenderableType:
    table = _table("release", "mu", "noise, in enterprises")
    for planned in () if found.plan is None else found.plan.planned:
        mu = "–" if math.isinf(planned.mu) else f"{planned.mu:.4f}"
        table.add_row(word("release", planned.name), mu, noise_words(planned.deviation))
    return Group(_title(word("check", "cost")), table)


def noise_words(deviation: tuple[float, float] | None) -> str:
    """Noise of a planned release in words.

    >>> noise_words(None), noise_words((6.789, 6.789)), noise_words((13.9, 24.2))
    ('follows from earlier releases', '± 6.79', '± 14–24')
    """
    if deviation is None:
        return _("follows from earlier releases")
    low, high = deviation
    if high == 0:
        return of_kind("noise", "none")
    if high < 10:
        return f"± {high:.3g}"
    return f"± {low:.0f}" if round(low) == round(high) else f"± {low:.0f}–{high:.0f}"


Remark = tuple[str | None, str]
"""Whose it is (None: the study's, or of several), and what it says."""


def _block(title: str, remarks: Sequence[Remark], style: str = "") -> list[RenderableType]:
    """A heading and remarks below it, each with a hanging indent."""
    if not remarks:
        return []
    parts: list[RenderableType] = [Text(), Text(word("check", title), style=f"bold {style}".strip())]
    for name, text in remarks:
        said = Text(f"{name}: " if name else "", style=style)
        said.append(text.removeprefix(f"{name}: "))
        grid = Table.grid()
        grid.add_column(width=2)
        grid.add_column(overflow="fold")
        grid.add_row("- ", said)
        parts.append(grid)
    return parts


def _refused(found: Check, *, owner: bool = True) -> Iterator[Remark]:
    """Every reason, errors of tables among them; owner: with the rows and values that are for the owner's screen."""
    yield from ((None, retold(text)) for text in found.refused)
    for line in found.institutions:
        if not line.left_out:
            yield from ((line.name, retold(text)) for text in line.refused)
            yield from _checks([(line.name, c) for c in line.errors], verbose=True, owner=owner)


def _asked(found: Check, verbose: bool) -> Iterator[Remark]:
    yield from _findings([(None, f) for f in found.asked], verbose)
    for line in found.institutions:
        if line.left_out:
            texts = [
                *map(retold, line.refused),
                *(text for _, text in _checks([(None, c) for c in line.errors], verbose=True)),
            ]
            yield line.name, sentence(Finding("left_out_optional", {"reasons": "; ".join(texts)}))
    lines = [line for line in found.institutions if not line.left_out]
    yield from _checks([(n.name, c) for n in lines for c in n.checks if c.severity == "warning"], verbose)
    yield from _findings([(n.name, f) for n in lines for f in n.asked], verbose)


def _notes(found: Check, verbose: bool) -> Iterator[Remark]:
    lines = [line for line in found.institutions if not line.left_out]
    yield from _checks([(n.name, c) for n in lines for c in n.checks if c.severity == "note"], verbose)
    yield from _findings([(n.name, f) for n in lines for f in n.notes], verbose)


def _checks(
    checks: Sequence[tuple[str | None, TableCheck]], verbose: bool, owner: bool = True
) -> Iterator[Remark]:
    """Checks of tables in words, like ones of several columns or institutions on one line."""
    groups: dict[Any, list[tuple[str | None, TableCheck]]] = {}
    for k, (name, c) in enumerate(checks):
        like = (_FIGURES.sub("", c.rule), _FIGURES.sub("", c.remedy))
        groups.setdefault(k if verbose else like, []).append((name, c))
    for group in groups.values():
        (name, first), owners = group[0], {name for name, _ in group}
        if len(group) == 1:
            rows = (
                _(" ({rows:,} rows, {share:.2%})", rows=first.rows, share=first.share) if first.rows else ""
            )
            where = first.for_owner() if owner else ""
            yield (
                name,
                _told(first.column, retold(first.rule) + rows, retold(first.remedy))
                + (f" [{where}]" if where else ""),
            )
            continue
        named = [
            (f"{n}." if len(owners) > 1 else "")
            + c.column
            + (_(" ({rows:,} rows)", rows=c.rows) if c.rows else "")
            for n, c in group
        ]
        rule, remedy = (_alike([retold(getattr(c, key)) for _, c in group]) for key in ("rule", "remedy"))
        yield None if len(owners) > 1 else name, _told(_names(named), rule, remedy)


def _told(what: str, rule: str, remedy: str) -> str:
    return _("{what}: {rule}; {remedy}", what=what, rule=rule, remedy=remedy)


def _alike(texts: Sequence[str]) -> str:
    """The text, without the figures in which several differ."""
    return texts[0] if len(set(texts)) == 1 else _FIGURES.sub("", texts[0])


def _findings(findings: Iterable[tuple[str | None, Finding]], verbose: bool) -> Iterator[Remark]:
    """Findings in words; those of columns that say the same stand on one line."""
    groups: dict[Any, list[tuple[str | None, Finding]]] = {}
    for k, (name, f) in enumerate(findings):
        groups.setdefault(k if verbose or "column" not in f.values else f.code, []).append((name, f))
    for group in groups.values():
        (name, first), several = group[0], len({name for name, _ in group}) > 1
        if "column" not in first.values:
            yield name, sentence(first)
            continue
        named = [(f"{n}." if several else "") + _column(f) for n, f in group]
        yield None if several else name, sentence(replace(first, values={"columns": _names(named)}))


def _column(found: Finding) -> str:
    """A column with the figures that the finding is about."""
    v = found.values
    figures = [f"{v['value']}"] if "value" in v else []
    figures += [_("{rows:,} rows", rows=v["rows"])] if "rows" in v else []
    figures += [f"{v['share']:.1%}"] if "share" in v and found.code != "column_constant" else []
    return str(v["column"]) + (f" ({', '.join(figures)})" if figures else "")


def _names(names: Sequence[str]) -> str:
    more = (
        _(" and {names} more (--verbose)", names=len(names) - MOST_NAMES) if len(names) > MOST_NAMES else ""
    )
    return ", ".join(names[:MOST_NAMES]) + more
