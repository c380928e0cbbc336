"""Loan books by sector and grade, and records of their noisy sums, as a statistics study of several banks leaves them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.privacy.accounting import mu_for
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.releases.statistics import RELEASE, UNKNOWN, Axis, CellTable, Layout, Measure, block_name
from fedrisk.secure.identity import IdentityKey

SECTORS = ("farming", "manufacturing", "construction", "retail", "transport", "services")
GRADES = ("A", "B", "C")
GRADE_RISK = {"A": 0.006, "B": 0.02, "C": 0.05}
HUB = IdentityKey(bytes(range(32)))
LOSS_GIVEN_DEFAULT = 0.45
BOUNDS = {"exposure": 10_000_000.0, "expected_loss": 1_000_000.0, "matured_loss": 4_500_000.0}


def book(rng: np.random.Generator, loans: int = 400) -> dict[str, NDArray[np.float64]]:
    """Exact sums by cell (sectors and grades, row-major, with unknown ones): loans, exposure, expected_loss; in yuan.

    loans: of a cell on average. Exposures are log-normal with a standard deviation about as large as their mean.
    """
    shape = (len(SECTORS) + 1, len(GRADES) + 1)
    sums = {name: np.zeros(shape) for name in ("loans", "exposure", "expected_loss")}
    for s in range(len(SECTORS)):
        for g, grade in enumerate(GRADES):
            count = int(rng.integers(loans // 2, 3 * loans // 2))
            exposures = np.minimum(rng.lognormal(13.0, 0.8, count), BOUNDS["exposure"])
            chance = GRADE_RISK[grade] * rng.uniform(0.7, 1.4)
            sums["loans"][s, g] = count
            sums["exposure"][s, g] = exposures.sum()
            sums["expected_loss"][s, g] = (exposures * chance * LOSS_GIVEN_DEFAULT).sum()
    return {name: values.ravel() for name, values in sums.items()}


def study(banks: Sequence[str] = ("alfa", "beta", "gama", "delta"), epsilon: float = 1.0) -> dict[str, Any]:
    """The study as a record has it."""
    return {
        "name": "loan_book",
        "recipe": "statistics",
        "institutions": [{"name": b, "role": "bank"} for b in banks],
        "privacy": {"epsilon": epsilon, "delta": 1e-6, "colluders": 1},
        "settings": {},
    }


CELLS: Mapping[str, Sequence[str]] = {"sector": SECTORS, "grade": GRADES}


def layout(
    measures: Sequence[str],
    cells: Mapping[str, Sequence[str]] = CELLS,
    bounds: Mapping[str, float] = BOUNDS,
) -> Layout:
    """Cells of these axes, with measures of equal shares."""
    axes = tuple(
        Axis(name=name, column=f"bank.{name}", categories=(*values, UNKNOWN))
        for name, values in cells.items()
    )
    listed = []
    for name in measures:
        share = 1 / len(measures)
        if name == "loans":
            listed.append(Measure(name=name, kind="count", share=share))
        else:
            column, high = f"bank.{name}", bounds.get(name, 1e6)
            listed.append(
                Measure(name=name, kind="sum", column=column, low=0.0, high=high, unit="yuan", share=share)
            )
    return Layout(
        owner="bank",
        axes=axes,
        tables=(CellTable(name="cells", axes=tuple(cells)),),
        measures=tuple(listed),
    )


def record(
    sums: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
    *,
    epsilon: float = 1.0,
    banks: Sequence[str] = ("alfa", "beta", "gama", "delta"),
    noise: bool = True,
    name: str = "loan_book",
    cells: Mapping[str, Sequence[str]] = CELLS,
    bounds: Mapping[str, float] = BOUNDS,
) -> ReleaseRecord:
    """A signed record of the sums at epsilon, each measure with its share of the budget."""
    made = layout(tuple(sums), cells, bounds)
    mu = mu_for(epsilon, 1e-6)
    blocks = []
    for measure in made.measures:
        sigma = 1 / (mu * math.sqrt(measure.share)) if noise else 0.0
        bound = 1.0 if measure.kind == "count" else float(measure.high or 1.0)
        exact = sums[measure.name] / bound
        total = (exact + sigma * rng.normal(size=exact.shape))[:, None]
        blocks.append(
            ReleasedBlock(
                name=block_name(made.tables[0], measure),
                left="bank",
                right="bank",
                total=total,
                variance=sigma**2,
            )
        )
    spends = tuple({"release": RELEASE, "institution": b, "mu": mu, "population": "all"} for b in banks)
    released = ReleasedSums(
        name=RELEASE,
        population="all",
        mu=mu,
        blocks=tuple(blocks),
        spends=spends,
        about={"layout": made.to_dict()},
    )
    bare = ReleaseRecord(
        study={**study(banks, epsilon), "name": name},
        study_digest="0" * 64,
        attempt="1f3a9c02" * 4,
        research=False,
    )
    return bare.with_release(released).signed(HUB)
