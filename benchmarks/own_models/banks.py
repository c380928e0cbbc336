"""The banks' side of an emulated study: what the node of each bank has in its hands when it delivers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "calibration"))
from emulation import Emulated, Portfolio

from fedrisk.alignment.matching import HOLD_OUT, TRAINING
from fedrisk.recipes.scorecard.delivery import Scored
from fedrisk.study_members import BANK


def banks_of(data: Portfolio, study: Emulated) -> Iterator[tuple[str, Scored]]:
    """Each bank's name and its customers with their scores, as `delivery` has them."""
    columns = [f.column for f in data.features if f.institution == BANK]
    codes = data.codes(study.bins)
    own = [c for c, b in zip(codes, study.bins, strict=True) if b.feature.institution == BANK]
    use = np.zeros(len(data), np.uint8)
    use[study.train], use[study.held] = TRAINING, HOLD_OUT
    for bank in np.unique(data.bank):
        rows = np.flatnonzero(data.bank == bank)
        total = study.total[rows].astype(np.int64)
        external = study.external[rows].astype(np.int64) if data.study.holders else None
        yield (
            str(bank),
            Scored(
                ids=rows,
                inputs=data.frames[BANK].iloc[rows][columns].reset_index(drop=True),
                codes=np.stack([c[rows] for c in own], 1) if own else np.zeros((len(rows), 0), np.int64),
                own=total - study.card.base_points - (0 if external is None else external),
                external=external,
                total=total,
                label=data.label[rows],
                use=use[rows],
            ),
        )
