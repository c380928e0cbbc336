"""Which of a bank's own columns are in another bin than they were when a score was at its best."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fedrisk.models.binning import Bins
from fedrisk.watching.history import Kept
from fedrisk.watching.month import Month

if TYPE_CHECKING:
    from fedrisk.watching.alerts import Alert


@dataclass(frozen=True, kw_only=True)
class Moved:
    """An own column of the bank whose value is in another bin than it was. was, now: the bins, as a card has them."""

    column: str
    was: str
    now: str


def what_moved(kept: Kept, month: Month, alerts: "Sequence[Alert]") -> "list[Alert]":
    """The alerts of a month with the own columns that moved since the month they compare with."""
    columns = kept.own_columns(month)
    labels = {name: Bins.from_dict(said["bins"]).labels() for name, said in columns.items()}
    now = _codes(kept, month, [a.enterprise for a in alerts])
    before: dict[str, dict[str, dict[str, int]]] = {}
    for since in {a.since for a in alerts if a.since is not None}:
        wanted = [a.enterprise for a in alerts if a.since == since]
        before[since] = _codes(kept, Month.parse(since), wanted)
    out = []
    for alert in alerts:
        was = before.get(alert.since or "", {}).get(alert.enterprise, {})
        found = now.get(alert.enterprise, {})
        moved = tuple(
            Moved(column=name, was=labels[name][was[name]], now=labels[name][place])
            for name, place in found.items()
            if name in labels and was.get(name, -1) not in (-1, place) and place != -1
        )
        out.append(replace(alert, moved=moved))
    return out


def _codes(kept: Kept, month: Month, enterprises: Sequence[str]) -> dict[str, dict[str, int]]:
    """Bins of these enterprises in a month, by column."""
    table = kept.read_bins(month)
    if table is None or not enterprises:
        return {}
    frame = table.to_pandas().drop_duplicates("id").set_index("id")
    rows = frame[frame.index.isin(enterprises)]
    return {str(id): {str(k): int(v) for k, v in row.items()} for id, row in rows.to_dict("index").items()}
