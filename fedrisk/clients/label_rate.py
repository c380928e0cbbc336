"""Does a bank's share of positive labels agree with the default rate that the study declares?

Labels that stand the wrong way round are noticed by nobody else: the hub never sees a label, and a card of reversed
labels ranks as well as the right one, upside down. So the bank compares before anything is charged.

A refusal is a bit about labels that no budget covers, and whoever writes studies chooses what they declare. So the
bound on the bank's own share is one fixed number, whatever a study declares: with a bound that moved with the declared
rate, some twenty studies that cost nothing would find a bank's number of defaults to the last one.
"""

import math
from dataclasses import dataclass

import numpy as np

from fedrisk.clients.node import Node
from fedrisk.data.table import Table
from fedrisk.errors import DataError
from fedrisk.study import Study

MOSTLY = 0.75
"""Share of positive labels from which on they are taken for reversed, where a study declares at most the rest of it."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """A bank's labels. labelled: rows with one. positive: sum of labels, which may be fractions."""

    labelled: int
    positive: float

    @property
    def rate(self) -> float:
        """Share of positive labels; NaN where no row has a label."""
        return self.positive / self.labelled if self.labelled else math.nan

    def odds_ratio(self, declared: float) -> float:
        """The odds of the rate by those of a declared one, from 0 to infinity.

        >>> round(Labels(labelled=100, positive=88).odds_ratio(0.12), 1)
        53.8
        """
        odds = declared / (1 - declared)
        return math.inf if self.rate == 1 else self.rate / (1 - self.rate) / odds

    def reversed(self, declared: float) -> bool:
        """Whether most labels are positive, and a study declares that few are.

        Of the declared rate it matters alone whether it is below a fixed bound. Not the other way round, few where
        many are declared: that would be a bound near the rates that banks have. ``fedrisk check`` asks about it.
        """
        return declared <= 1 - MOSTLY and self.rate >= MOSTLY


def labels_of(table: Table) -> Labels | None:
    """What a table's labels say together; None where it has none."""
    if table.label is None:
        return None
    there = table.label[~np.isnan(table.label)]
    return Labels(labelled=len(there), positive=float(there.sum()))


def check_rate(study: Study, node: Node, table: Table) -> None:
    """DataError where a bank's labels seem reversed, by the rate that the study declares."""
    labels, declared = labels_of(table), study.expected.default_rate
    if labels is None or not labels.labelled or declared is None or node.name not in study.banks:
        return
    if labels.reversed(declared):
        raise DataError(
            f"{node.name}: {labels.rate:.0%} of the labels are positive, and the study declares {declared:.0%} "
            "(expected.default_rate), so positive and negative may be the wrong way round in [dictionary.label]: "
            "positive is what means default. Swap them, or have the study declare another rate"
        )
