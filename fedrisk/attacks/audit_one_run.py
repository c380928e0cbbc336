"""Many records at once in one study: each is there or not by a fair coin, and the coins are guessed afterwards.

One real study, by its handlers and messages, counts enterprises in cells; each record of the audit is alone in a cell
of its own (Steinke, Nasr & Jagielski 2023). Nothing is repeated and no sampler is called beside the study's.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fedrisk.attacks.consortium import build
from fedrisk.attacks.tradeoff import Bounds, mu_of_guesses

SIDE = 50
"""Categories of each of two columns: their pairs are the cells."""

GUESSED = 0.1
"""Share of the coins that are guessed: those of which the attacker is surest."""

OWNER = "tax"


def guessed(folder: Path, seed: int, epsilon: float, alpha: float) -> tuple[Bounds, float, int]:
    """Bounds of mu from one study, what is claimed, and the number of records."""
    rng = np.random.default_rng(seed)
    names = [f"c{k:02d}" for k in range(SIDE)]
    cells = [(a, b) for a in names for b in names]
    there = rng.random(len(cells)) < 0.5
    table = pd.DataFrame(
        {
            "id": [f"ENT{k:06d}" for k in range(len(cells))],
            "left": [a for a, _ in cells],
            "right": [b for _, b in cells],
        }
    )[there].reset_index(drop=True)
    columns = [{"name": n, "kind": "category", "categories": names} for n in ("left", "right")]
    made = build(
        folder,
        (),
        (OWNER,),
        tables={OWNER: table},
        columns={OWNER: columns},
        policy={
            "recipes": ["statistics"],
            "statistics": ["left", "right"],
            "research": False,
            "cap_epsilon": 60.0,
        },
        study={
            "name": "coins",
            "recipe": "statistics",
            "privacy": {"epsilon": epsilon},
            "statistics": {"by": [f"{OWNER}.left", f"{OWNER}.right"], "measures": [{"kind": "count"}]},
        },
    )
    run = made.run(wire=False, own=False)
    record = run.results.record
    assert record is not None
    released = record.release("statistics")
    total = np.asarray(released.blocks[0].total, float).reshape(SIDE + 1, SIDE + 1)[:SIDE, :SIDE].ravel()
    guesses = round(GUESSED * len(cells))
    surest = np.argsort(-np.abs(total - 0.5))[:guesses]
    right = int(((total[surest] > 0.5) == there[surest]).sum())
    return mu_of_guesses(right, guesses, len(cells), alpha), released.mu, len(cells)
