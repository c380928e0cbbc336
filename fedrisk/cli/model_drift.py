"""``fedrisk model drift``: how an institution's data left its dictionary and the studies of its models."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fedrisk.cli.common import AsJson, InstitutionFile
from fedrisk.cli.output import note, out, plain_table, tell, tell_json
from fedrisk.language import N_, _

if TYPE_CHECKING:
    from fedrisk.analysis.watch.column_months import Asked
    from fedrisk.clients.node import Node
    from fedrisk.models.binning import Bins
    from fedrisk.models.model_part import ModelPart
    from fedrisk.serving.drift import Columns, Drift

WEEK = 7


def model_drift(institution: InstitutionFile, as_json: AsJson = False) -> None:
    """What was answered by rule since models serve here, by column, and how far who is asked about differs from before.

    Counts are this institution's own; nothing of them leaves.
    """
    from fedrisk.clients.node import Node
    from fedrisk.serving.drift import dumps, read_drift

    node = Node.load(institution)
    found = read_drift(node.store.path / "serving")
    models = {} if found is None else _stability(node, found)
    if as_json:
        counts = None if found is None else dumps(found)
        features = {m: [_plain(s) for s in features] for m, features in models.items()}
        tell_json({"institution": node.name, "day": _day(node), "counts": counts, "models": features})
        return
    tell(f"{node.name}: {_day(node)}")
    if found is None:
        note(_("nothing was looked up for a model yet"))
        return
    _show_counts(found)
    for model, one in models.items():
        _show_stability(model, one)


def _stability(node: "Node", found: "Drift") -> "dict[str, list[Asked]]":
    """The index of each feature of this institution, by model."""
    from fedrisk.analysis.watch.column_months import together

    out = {}
    for part in node.store.models.parts():
        if part.shares:
            bins, shares = counted_features(part)
            out[part.model] = together(bins, shares, found.bins)
    return out


def counted_features(part: "ModelPart") -> "tuple[dict[str, Bins], dict[str, tuple[float, ...]]]":
    """Bins and the study's shares of a part's features, by the key under which rows are counted."""
    from fedrisk.models.binning import Bins
    from fedrisk.serving.drift import key_of

    every = [Bins.from_dict(dict(stored)) for stored in part.bins]
    # Shares of a pair's cells were not released, and its cells are not counted.
    kept = [(b, s) for b, s in zip(every, part.shares, strict=True) if b.feature.kind != "pair"]
    return {key_of(b): b for b, _ in kept}, {key_of(b): s for b, s in kept}


def _plain(found: "Asked") -> dict[str, Any]:
    index = None if found.index is None else found.index.index
    return {"column": found.column, "rows": found.rows, "index": index, "verdict": found.verdict}


def _day(node: "Node") -> str:
    """How old rows are said to be."""
    table = node.institution.table
    if table is None:
        return _("has no table")
    if table.updated is not None:
        return _('the day of a row is in column "{updated}"', updated=table.updated)
    if table.is_database:
        return _("rows of the database count as of now, since no column says their day ([table] updated)")
    return _("the day of the file stands for all its rows, since no column says theirs ([table] updated)")


def _show_counts(found: "Drift") -> None:
    from fedrisk.serving.drift import KINDS

    today = datetime.now(UTC).date()
    week = [today - timedelta(days=k) for k in range(WEEK)]
    tell(
        _(
            "{total_asked:,} rows were looked up since {since}, {asked:,} of them today",
            total_asked=found.total_asked,
            since=found.since,
            asked=found.asked.get(today, 0),
        )
    )
    columns = ("column", "what", "today", _("{days} days", days=WEEK), "since then")
    table = plain_table("answered by rule (rows)", *columns, right=columns[2:])
    for column, kinds in sorted(found.total.items()):
        for kind, total in sorted(kinds.items()):
            last = [_of(found.days.get(day, {}), column, kind) for day in week]
            table.add_row(column, KINDS.get(kind, kind), f"{last[0]:,}", f"{sum(last):,}", f"{total:,}")
    if found.total:
        out.print(table)
    else:
        tell(_("all of them as the dictionary says"))


def _of(columns: "Columns", column: str, kind: str) -> int:
    return columns.get(column, {}).get(kind, 0)


_VERDICTS = {
    "stable": N_("as in the study"),
    "shifting": N_("differs from the study"),
    "moved": N_("differs much: a new study may be due"),
    "few": N_("too few rows to say"),
}


def _show_stability(model: str, features: "list[Asked]") -> None:
    figures: Any = ("rows", "PSI")
    table = plain_table(
        _("model {model}: who is asked about", model=model), "column", *figures, "that is", right=figures
    )
    for s in features:
        index = "–" if s.index is None else f"{s.index.index:.3f}"
        table.add_row(s.column, f"{s.rows:,}", index, _(_VERDICTS[s.verdict]))
    out.print(table)
