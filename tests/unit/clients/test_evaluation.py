"""Histograms of the hold-out: what a record of a bank, or of a holder behind the scores, can do."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.clients import evaluation
from fedrisk.clients.evaluation import HoldOut
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.releases.groups import groups_release
from fedrisk.releases.statistics import UNKNOWN, Axis
from fedrisk.study import Study
from support.studies import study

AXES = tuple(Axis(name=n, column=f"bank.{n}", categories=("x", "y", UNKNOWN)) for n in ("sector", "size"))


def asked(*, holders):
    plain = study(1, epsilon=1.0).model_dump()
    members = [m for m in plain["institutions"] if holders or m["role"] == "bank"]
    return Study.model_validate(
        {**plain, "institutions": members, "evaluation": {"groups": ["sector", "size"]}}
    )


ROWS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 11),
        st.floats(0, 1),
        st.sampled_from(["x", "y", "elsewhere", None]),
        st.sampled_from(["x", "y", None]),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("holders", [True, False])
@settings(max_examples=25, deadline=None)
@given(rows=ROWS, place=st.integers(0, 11), probability=st.floats(0, 1))
def test_a_record_moves_the_hold_out_by_at_most_the_sensitivity(holders, rows, place, probability):
    """Score histogram and groups together: gone at the bank, or elsewhere by another record of a holder."""
    made = asked(holders=holders)
    releases = (evaluation_release(made, 12), groups_release(made, AXES))

    def released(rows):
        frame = pd.DataFrame({"sector": [r[3] for r in rows], "size": [r[4] for r in rows]}, dtype=object)
        attempt = SimpleNamespace(study=made, statements={}, read=lambda: SimpleNamespace(frame=frame))
        held = HoldOut(
            label=np.array([r[0] for r in rows], float),
            bins=np.array([r[1] for r in rows], int),
            exact=np.zeros(len(rows), int),
            probability=np.array([r[2] for r in rows], float),
            rows=np.arange(len(rows)),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluation, "group_axes", lambda study, statements: AXES)
            return [[evaluation._counts(attempt, r, b, held) for b in r.blocks] for r in releases]

    def price(one, other):
        """Of a move, by the noise of the only bank: the root of the sum over both releases of squares."""
        squares = 0.0
        for release, before, after in zip(releases, one, other, strict=True):
            moved = sum(int(((a - b) ** 2).sum()) for a, b in zip(before, after, strict=True))
            squares += moved / min(min(b.sigma.values()) for b in release.blocks) ** 2
        return math.sqrt(squares)

    whole = math.hypot(*(r.mu for r in releases))
    before = released(rows)
    assert price(before, released(rows[:-1])) <= whole * (1 + 1e-12)
    label, _, _, *levels = rows[-1]
    elsewhere = released([*rows[:-1], (label, place, probability, *levels)])
    assert price(before, elsewhere) <= whole * (1 if holders else math.sqrt(2)) * (1 + 1e-12)
