"""Processor seconds of the masked columns at the public test's very width, from one block of rows.

Masks, envelopes and products run over blocks of rows, so that a block of the width that is asked for says what all of them
take. Small studies do not: there this work is a tenth of a second.

    PYTHONPATH=. python benchmarks/network/wide.py
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.secure_product.run import Parties
from fedrisk.secure import product

ROWS, BINS = 2_048, 18
"""Rows of the block; bins of a column with those of missing values and of unknown enterprises."""
DEPLOYMENT = Path(__file__).parents[1] / "deployment" / "results.json"


def block_seconds(features: int, rows: int = ROWS) -> dict[str, float]:
    """Processor seconds of each party for one block of a holder's columns, beside one column of labels."""
    shape = product.Shape(rows, (BINS - 1) * features, 1, "uint16", block_rows=rows)
    draw, parties = np.random.default_rng(1), Parties()
    codes = draw.integers(0, BINS, (rows, features)).astype(np.uint8)
    labels = (draw.random((rows, 1)) < 0.03).astype(np.uint16)

    def left() -> Any:
        return iter([product.one_hot(codes, [BINS] * features, np.uint16, last=False)])

    def right() -> Any:
        return iter([labels])

    hub, dealt = _timed(lambda: product.deal(parties.to_holder, parties.to_bank, parties.label, shape))
    holder, there = _timed(lambda: parties.seal_left(left, shape))
    bank, back = _timed(lambda: parties.seal_right(right, shape))
    more_bank, mine = _timed(lambda: parties.right_share(there, right, shape, 1))
    more_holder, theirs = _timed(lambda: parties.left_share(back, dealt, shape))
    if not np.array_equal(mine + theirs, next(left()).T @ labels):
        raise SystemExit("the two shares do not add up to the counts")
    return {"hub": hub, "bank": bank + more_bank, "holder": holder + more_holder}


def products(features: int, rows: float) -> dict[str, float]:
    """Processor seconds of each party for both counts: rows of all columns, and of half of them."""
    return {party: 1.5 * rows / ROWS * spent for party, spent in block_seconds(features).items()}


def carrying() -> float:
    """Seconds by the clock to carry a megabyte of one message one way, without a limit of the line.

    Of the message of 320 MiB that benchmarks/deployment measured on a quiet machine.
    """
    large = json.loads(DEPLOYMENT.read_text())["large"]
    return max(float(e["seconds"]) for e in large) / (320 * 1.048576)


def _timed(do: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    found = do()
    return time.process_time() - began, found


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print(json.dumps({"block": block_seconds(1_500), "carrying_s_a_mb": carrying()}))
