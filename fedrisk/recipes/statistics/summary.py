"""Section of the report of a statistics study: how many figures each table has, and how many are withheld."""

from collections import Counter

from fedrisk.analysis.estimates import estimates
from fedrisk.recipe import Section
from fedrisk.server.outcome import Outcome


def summarise(outcome: Outcome) -> tuple[Section, ...]:
    """A row for each measure and table; the figures themselves are in files of their own."""
    frame = estimates(outcome.record).frame
    counted = Counter(zip(frame["measure"], frame["table"], frame["says"], strict=True))
    pairs = dict.fromkeys((measure, table) for measure, table, _ in counted)
    rows = tuple((*pair, counted[*pair, True], counted[*pair, False]) for pair in pairs)
    return (Section(code="figures", columns=("measure", "table", "shown", "silent"), rows=rows),)
