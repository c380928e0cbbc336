"""A draft as commented TOML. Every line that a person has to look at ends in ``# CONFIRM``."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedrisk.data.dictionary_rules import FILL_IN
from fedrisk.data.draft.columns import Proposal
from fedrisk.data.draft.draft import Draft
from fedrisk.data.draft.look import RARE
from fedrisk.data.draft.months import MonthlySeries

CONFIRM = "# CONFIRM"
"""With this begins the comment of a line that somebody has to confirm."""

_BOUND = {
    "low": "what is the least that it can be? Rounded outward from the table",
    "high": "what is the most that it can be? Rounded outward from the table",
    "bins": "edges of the bins",
    "outside": "share of the rows that may lie beyond",
}


def toml(value: Any) -> str:
    """A value as TOML, on one line.

    >>> toml({"-9": "no record"}), toml(20_000_000.0), toml([0.5, 12, "上海"]), toml(True)
    ('{ "-9" = "no record" }', '20_000_000', '[0.5, 12, "上海"]', 'true')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON and TOML escape alike, but for the one control character that JSON lets stand.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 100_000 else str(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_bare(str(k))} = {toml(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(toml(v) for v in value) + "]"


def _bare(key: str) -> str:
    """A key without quotes where it is a word; codes keep theirs."""
    return key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) else toml(key)


def _number(x: float) -> str:
    if not math.isfinite(x):
        return "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"
    if x == round(x) and abs(x) < 1e9:
        return toml(int(x))
    text = f"{x:.12g}"
    return text.replace("e+", "e").replace("e0", "e") if "e+" in text else text


def remark(text: str) -> str:
    """Text that may stand in a comment: on one line, without characters that TOML forbids there."""
    return "".join(c if c.isprintable() else "?" for c in text)


def dictionary_text(draft: Draft, *, horizon: str | None = None) -> str:
    """The ``[dictionary]`` of an institution file. ``horizon``: of the label, where a person has said it."""
    lines = [*_head(draft), "[dictionary]", *_id_lines(draft)]
    if draft.as_of is not None and draft.as_of in draft.names:
        lines.append(f"as_of = {toml(draft.names[draft.as_of])}  # the date as of which a row was observed")
    for column in draft.columns:
        lines += ["", *_column_lines(column, draft.names[column.source])]
    for series in draft.series:
        lines += _history_lines(series)
    if draft.kind == "bank":
        lines += ["", *_label_lines(draft, horizon)]
    if draft.series:
        lines += ["", *_histories_lines(draft.series)]
    if draft.left_out:
        lines += ["", *_left_out_lines(draft.left_out)]
    return "\n".join(lines) + "\n"


def _head(draft: Draft) -> list[str]:
    first = "the first " if draft.more else ""
    return [
        f"# Drafted from {first}{draft.rows:,} rows of {remark(draft.table)}.",
        "#",
        "# A dictionary is public: every member of a study sees it. Bounds, edges and lists below were proposed from",
        "# the table, in round numbers beyond nearly all of its values; taken over unseen they would be a release of",
        "# it without a price. So each column says drafted = true, and no study takes this file, until somebody has",
        "# confirmed that the lines with CONFIRM say what a column can hold, not what the table happens to hold:",
        "#     fedrisk dictionary confirm FILE                    shows what is left to confirm",
        "#     fedrisk dictionary confirm FILE --all              or --column NAME, once you have looked",
        "#     fedrisk dictionary declare FILE NAME high=5000     corrects a column, which confirms it",
        f"# Values that fewer than {RARE} rows have are not named in what others see: missing_values stay here.",
        *([f"# Read with {read_with(draft)} in [table]."] if draft.settings else []),
        "",
    ]


def read_with(draft: Draft) -> str:
    """The settings that it takes to read the table, as they are written."""
    return ", ".join(f"{k} = {toml(v)}" for k, v in draft.settings.items())


def _id_lines(draft: Draft) -> list[str]:
    found = draft.id
    if found.column is None:
        said = (
            'which column names the enterprise? None differs in every row. "@row" (the row number) is for test data '
            "only, since it matches institutions by the order of their files"
        )
        return [f"id = {toml(FILL_IN)}  {CONFIRM}: {said}", 'id_scheme = "opaque"']
    why = f"  # other columns that tell rows apart: {remark(', '.join(found.others))}" if found.others else ""
    if found.repeated:
        why = f"  # {found.repeated:,} rows share theirs with another: roll the rows of an enterprise up into one"
    if found.running:
        why = "  # a running number: it matches another institution's rows only if both use the same numbers"
    scheme = (
        "  # unified social credit codes with a check character (GB 32100-2015)"
        + (f"; {1 - found.valid:.1%} have a wrong one: correct them" if found.valid < 1 else "")
        if found.scheme == "uscc"
        else f"  # any text; {found.valid:.0%} are unified social credit codes with the right check character"
    )
    return [f"id = {toml(found.column)}{why}", f"id_scheme = {toml(found.scheme)}{scheme}"]


def _column_lines(p: Proposal, name: str) -> list[str]:
    head = {"name": name, "kind": p.kind}
    if p.source != name:
        head["source"] = p.source
    lines = ["[[dictionary.columns]]", *(f"{k} = {toml(v)}" for k, v in head.items())]
    if p.kind == "number":
        lines.append('unit = ""  # yuan, months, share, ...')
    meaning = " ".join(remark(p.source).split()) or name
    lines.append(f"meaning = {toml(meaning)}  # in words that the other members understand")
    for key, value in p.settings.items():
        why = p.why.get(key, "")
        # Where the meaning gives the bound, nothing follows from the table.
        bound = "" if key not in p.confirm or why.startswith("by its meaning") else _BOUND.get(key, "")
        said = "; ".join(filter(None, (bound, why)))
        mark = f"{CONFIRM}: {said}" if key in p.confirm else f"# {said}" if said else ""
        lines.append(f"{key} = {toml(value)}" + (f"  {mark}" if mark else ""))
    return [*lines, "drafted = true"] if p.kind != "date" else lines


def _history_lines(series: MonthlySeries) -> list[str]:
    lines = []
    for rule in series.rules:
        head = {
            "name": f"{series.name}_{rule.kind}",
            "history": series.name,
            "kind": rule.kind,
            "months": rule.months,
        }
        head |= {} if rule.before is None else {"before": rule.before}
        head |= {"since": rule.since} if rule.since else {}
        stated = [f"{k} = {toml(v)}" for k, v in head.items()]
        stated[1] += (
            f"  {CONFIRM}: computed from {series.months} monthly columns; look at the bounds in [histories]"
        )
        lines += ["", "[[dictionary.columns]]", *stated, "drafted = true"]
    return lines


def _histories_lines(series: Sequence[MonthlySeries]) -> list[str]:
    lines = [
        "# Months of these series stand in columns SERIES_m01 (oldest) to SERIES_mNN. Put this into the institution's",
        "# file, with the bounds corrected: what a month can be, not what it happens to be. docs/history-columns.md",
        "# [histories]",
        '# source = "FILE"  # the file with these columns, one row per enterprise',
        f"# months = {max(s.months for s in series)}",
    ]
    for s in series:
        stated = {"name": s.name, "low": s.low, "high": s.high}
        lines += ["# [[histories.series]]", *(f"# {key} = {toml(value)}" for key, value in stated.items())]
    return lines


def _label_lines(draft: Draft, horizon: str | None) -> list[str]:
    label, lines = draft.label, ["[dictionary.label]"]
    asked = f"horizon = {toml(horizon or f'{FILL_IN}: over which time, for example 90 days past due within 12 months')}"
    if label is None:
        lines.append(
            f"column = {toml(FILL_IN)}  {CONFIRM}: which column says whether the enterprise defaulted?"
        )
        lines += [f"positive = [1]  {CONFIRM}: the values that mean default", "negative = [0]"]
    else:
        others = f". Others that could be: {remark(', '.join(label.others))}" if label.others else ""
        lines.append(
            f"column = {toml(label.column)}  {CONFIRM}: known only after the loan was decided{others}"
        )
        positive, negative = label.positive or (FILL_IN,), label.negative or (FILL_IN,)
        without = f"; {label.without:,} rows have neither" if label.without else ""
        lines.append(f"positive = {toml(_codes(positive))}  {CONFIRM}: the values that mean default{without}")
        lines.append(f"negative = {toml(_codes(negative))}")
    lines.append(asked + ("" if horizon else f"  {CONFIRM}"))
    lines.append('selection = "labels exist for approved borrowers only"  # for whom labels exist')
    return [*lines, "drafted = true"]


def _codes(values: Sequence[str]) -> list[str | int]:
    return [int(v) if v.isdigit() and str(int(v)) == v else v for v in values]


def _left_out_lines(left_out: Sequence[Proposal]) -> list[str]:
    lines = [
        "# Left out, and not read. To take one in after all:",
        "#     fedrisk dictionary declare FILE NAME kind=number low=0 high=100",
    ]
    return lines + [f"#   {remark(p.source)}: {remark(p.left_out or '')}" for p in left_out]


def table_lines(table: Path | str, folder: Path, settings: Mapping[str, Any]) -> list[str]:
    """The ``[table]`` of an institution file in ``folder``: a path as seen from there, or a database URL."""
    source = str(table)
    # A path of the whole machine, of a home folder or with a variable stays as it was given.
    if isinstance(table, Path) and not table.is_absolute() and source[:1] != "~" and "${" not in source:
        source = Path(os.path.relpath(table, folder)).as_posix()
    scheme, _, place = source.partition(":///")
    if scheme.partition("+")[0] == "sqlite" and place[:1] not in ("", "/", ":", "~") and "${" not in place:
        # The file of an SQLite database is a path too.
        name, mark, options = place.partition("?")
        if not name.startswith("file:"):
            source = f"{scheme}:///{Path(os.path.relpath(name, folder)).as_posix()}{mark}{options}"
    return [
        "[table]",
        f"source = {toml(source)}",
        *(f"{k} = {toml(v)}{_read_as(k)}" for k, v in settings.items()),
    ]


def _read_as(key: str) -> str:
    """Of what was recognised, a person sees whether it is right; a query he gave himself."""
    return "" if key == "query" else f"  {CONFIRM}: how the file is written, as recognised"
