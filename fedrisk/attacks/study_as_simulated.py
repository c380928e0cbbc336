"""Whether studies in sums are those between real nodes: without noise the same numbers, else the noise as stated."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from fedrisk.attacks.attack import Estimate
from fedrisk.attacks.coin_games import CONFIDENCE
from fedrisk.attacks.consortium import Run
from fedrisk.attacks.membership_game import layers_of, noise_of
from fedrisk.attacks.study_in_sums import Rows, Simulator, Study
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.fitting import refit
from fedrisk.releases.record import ReleasedSums, ReleaseRecord
from fedrisk.releases.release import Release
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]


def exact_difference(run: Run, rows: Rows) -> float:
    """Greatest difference of any number or point between a real study and a simulated one, both without noise."""
    simulator = Simulator(rows, noise=False)
    made = simulator.study(rows.trained, np.random.default_rng(0))
    real = real_study(run, simulator)
    pairs = [
        *((real.counts[name], made.counts[name]) for name in made.counts),
        *((real.gram[name], made.gram[name]) for name in made.gram),
        (real.calibration, made.calibration),
        *zip(real.card.points, made.card.points, strict=True),
    ]
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)


def noise_share(runs: Sequence[tuple[Run, Rows]]) -> Estimate:
    """Stated variance of the noise by that of real private studies: above 1 where a study has less than it states.

    All numbers of all releases are brought to unit variance by the covariance that the simulation has, so that the
    interval is that of a sum of squares of normals.
    """
    squares, numbers = 0.0, 0
    for run, rows in runs:
        simulator = Simulator(rows)
        totals, layers = layers_of(simulator, real_study(run, simulator))
        left = totals - rows.trained @ np.concatenate([layer.parts for layer in layers], 1)
        squares += float(left @ np.linalg.solve(noise_of(layers, ""), left))
        numbers += len(left)
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(chi2.ppf(t, numbers)) / squares for t in (tail, 1 - tail))
    return Estimate(numbers / squares, low, high, numbers)


def real_study(run: Run, simulator: Simulator) -> Study:
    """What a study between real nodes released, in the form of a simulated one."""
    record = record_of(run)
    counts = raw(record.release("counts"), simulator.first.release)
    first = Scorecard.from_json(run.told("card").get("scorecard"))
    second = simulator.second_of(record.release("counts"))
    name = second.release.name
    return Study(
        counts=counts,
        own={},
        gram=raw(record.release(name), second.release),
        calibration=record.release("calibration").block(BANK).total.ravel(),
        second=second,
        first=first,
        card=refit(record),
    )


def record_of(run: Run) -> ReleaseRecord:
    """The record that every study that ended has."""
    if run.results.record is None:
        raise ValueError("the study left no record")
    return run.results.record


def raw(released: ReleasedSums, release: Release) -> dict[str, Floats]:
    """Totals as the hub opens them: of all rows in place of those without a default."""
    out = {}
    for block in release.blocks:
        if block.with_noise_of is not None:
            out[block.name] = released.block(block.with_noise_of).total.sum(1)
            continue
        total = released.block(block.name).total
        out[block.name] = (total[:, 0] if block.shape != total.shape else total).ravel()
    return out
