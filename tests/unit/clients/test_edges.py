"""Edge histograms of an institution's rows: what one record can do, whatever is in it."""

import math

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.clients.edges import edge_counts
from fedrisk.data.features import Feature
from fedrisk.releases.edges import edges_release
from support.studies import study

COLUMNS = (
    Feature(institution="bank", column="a", low=0.0, high=9.0),
    Feature(institution="bank", column="b", low=-5.0, high=1e6, grid="log", special=(("-9", "none"),)),
    Feature(institution="bank", column="c", low=-1e-300, high=1e300),
)
VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 9.0, -5.0, -9.0, 1e300, 5e-324]),
)
RECORD = st.tuples(*[VALUES] * len(COLUMNS))


@settings(max_examples=50, deadline=None)
@given(st.lists(RECORD, min_size=1, max_size=4), RECORD, st.sampled_from([32, 256]))
def test_a_record_moves_edge_histograms_by_at_most_the_sensitivity(records, other, cells):
    release = edges_release(study(), COLUMNS, 0.05, cells)
    unit, sigma = 1 << release.scale_bits, min(release.block("bank").sigma.values())

    def counted(rows, known):
        frame = pd.DataFrame(rows, columns=[f.column for f in COLUMNS])
        return (
            edge_counts(frame, np.arange(len(rows)) if known else np.arange(len(rows) - 1), COLUMNS, cells)
            * unit
        )

    before, gone = counted(records, True), counted(records, False)
    changed = counted([*records[:-1], other], True)
    whole, moved = (math.sqrt(int(((before - after) ** 2).sum())) for after in (gone, changed))
    assert whole <= math.sqrt(len(COLUMNS)) * unit
    assert whole / sigma <= release.mu
    # In place of another record: sqrt(2) times that.
    assert moved / sigma <= math.sqrt(2) * release.mu * (1 + 1e-12)
