"""What ``fedrisk init`` and ``fedrisk dictionary`` share: draft a dictionary from a table, and show what it says."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedrisk.cli.output import tell
from fedrisk.data.draft.draft import Draft, draft_dictionary
from fedrisk.data.draft.roles import Kind, LabelFound
from fedrisk.data.draft.write import dictionary_text, read_with
from fedrisk.data.source import TableSource
from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.language import _


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What a person knows beforehand of the columns of a table."""

    id: str | None = None
    label: str | None = None
    positive: Sequence[str] | None = None
    negative: Sequence[str] | None = None
    horizon: str | None = None


def drafted(table: str, query: str | None, kind: Kind, hints: Hints) -> tuple[Draft, str, Mapping[str, Any]]:
    """The draft of a table, its text, and the settings of ``[table]`` that the table needs besides its source."""
    given_query: dict[str, Any] = {} if query is None else {"query": query}
    _refuse_password(table)
    given = {"source": table} | given_query
    source = checked(
        TableSource,
        given,
        where=_("table {table}", table=table if "://" not in table else _("from the database")),
    )
    draft = draft_dictionary(source, Path.cwd(), kind=kind, id_column=hints.id, label_column=hints.label)
    if draft.label is not None and (hints.positive or hints.negative):
        draft = replace(draft, label=_with_values(draft.label, hints))
    return draft, dictionary_text(draft, horizon=hints.horizon), given_query | draft.settings


def _refuse_password(table: str) -> None:
    """ConfigError where a password would be written into a file."""
    found = re.match(r"[a-z0-9+]+://[^/@:]*:([^@/]+)@", table)
    if found and "${" not in found[1]:
        raise ConfigError(
            "the database URL holds a password, which would stand in the file; write the name of an environment "
            "variable in its place, for example 'postgresql://me:${DB_PASSWORD}@host/db'"
        )


def _with_values(label: LabelFound, hints: Hints) -> LabelFound:
    positive, negative = tuple(hints.positive or ()), tuple(hints.negative or ())
    return replace(
        label,
        positive=positive or tuple(v for v in label.positive if v not in negative),
        negative=negative or tuple(v for v in label.negative if v not in positive),
        without=0,
    )


def show_draft(draft: Draft, file: Path | None, print_line: Any = None) -> None:
    """What was found, and what is to do next."""
    say = print_line or tell
    kinds = Counter(p.kind for p in draft.columns)
    listed = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    place = _("{file} is written. ", file=file) if file is not None else ""
    say(
        _(
            "{place}{rows:,} rows{more}; described: {listed}",
            place=place,
            rows=draft.rows,
            more=_(" and more") if draft.more else "",
            listed=listed or "nothing",
        )
    )
    if draft.series:
        series = ", ".join(f"{s.name} ({s.months})" for s in draft.series)
        say(
            _(
                "  monthly series: {series}; {computed} columns are computed from them once the file has [histories], "
                "which stands at the end of the draft",
                series=series,
                computed=draft.computed,
            )
        )
    if draft.settings:
        say(_("  read with {draft}", draft=read_with(draft)))
    if draft.id.repeated:
        say(
            _(
                "  {repeated:,} rows share their id with another: roll the rows of an enterprise up into one",
                repeated=draft.id.repeated,
            )
        )
    scheme = _(", {valid:.0%} valid credit codes", valid=draft.id.valid) if draft.id.valid > 0 else ""
    say(
        _(
            "  id: {column} ({scheme}{scheme2})",
            column=draft.id.column or _("none found, fill it in"),
            scheme=draft.id.scheme,
            scheme2=scheme,
        )
    )
    if draft.kind == "bank":
        label = draft.label
        say(
            _(
                "  label: {column}{label}",
                column=label.column if label else _("none found, fill it in"),
                label=_outcome(label),
            )
        )
    for column in draft.left_out:
        say(_("  left out: {source}: {left_out}", source=column.source, left_out=column.left_out))
    shown = file or "FILE"
    for name in draft.telling:
        say(
            _(
                "  look at: {name} goes with the outcome nearly one to one. When is it known? If only afterwards: "
                "fedrisk dictionary declare {shown} {names} feature=false. It stays in the draft: what labels say "
                "of a column must not decide what is in a public dictionary",
                name=name,
                shown=shown,
                names=draft.names[name],
            )
        )
    say(
        _(
            "No study takes it before somebody has confirmed its columns ({features} to look at): fedrisk "
            "dictionary confirm {shown}",
            features=len(draft.features) + draft.computed,
            shown=shown,
        )
    )


def _outcome(label: LabelFound | None) -> str:
    if label is None:
        return ""
    if not label.positive:
        return _(": say which values mean default")
    rest = _("; {without:,} rows without", without=label.without) if label.without else ""
    return _(
        ": {positive} is default, {negative} is none{rest}",
        positive=", ".join(label.positive),
        negative=", ".join(label.negative),
        rest=rest,
    )
