"""Facts of a province that moves on, month by month: ``python -m sim_institutions.calibration_months [PROFILE]``.

Rates of active loans and of enterprises, and a reference warning model: boosting on the months, without privacy, fitted
once in the development month, with its threshold from there. Months of a later table are like those in the place that
counts: quarters' ends are told from other months, and each sector's mean of a month is taken out.
"""

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from sim_institutions.achievable_accuracy import FALSE_ALARMS, TRAINING, WARNING_SERIES
from sim_institutions.block import Constants
from sim_institutions.institutions import offices
from sim_institutions.months import Moving, calendar, folder_of, number_of
from sim_institutions.outcomes import Outcome, under_way
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import MONTHS, Bools, Floats, Ints
from sim_institutions.series import observe

HEAD = "| month | | default | 30 days late | in distress | recall | false alarms |\n" + "| --- " * 7 + "|"


@dataclass
class Month:
    """Sums of a month: active loans, and those with each label; enterprises, in distress; and rows of the model."""

    month: int
    counts: Floats
    x: Floats
    distress: Bools


def months(moving: Moving, wanted: tuple[int, ...]) -> dict[int, Month]:
    """What is true of the wanted months (0: development), and what three holders see."""
    constants = moving.constants()
    found: dict[int, list[Month]] = {number: [] for number in wanted}
    for block in range(len(moving.blocks)):
        for number, one in _of_block(moving, constants, block, wanted):
            found[number].append(one)
    return {
        number: Month(
            parts[0].month,
            np.sum([p.counts for p in parts], axis=0),
            np.concatenate([p.x for p in parts]),
            np.concatenate([p.distress for p in parts]),
        )
        for number, parts in found.items()
    }


def _of_block(
    moving: Moving, constants: Constants, block: int, wanted: tuple[int, ...]
) -> Iterator[tuple[int, Month]]:
    population = moving.population(constants, block)
    outcome = Outcome(population)
    for standing in population.standings():
        number = number_of(standing.period)
        if number not in wanted:
            continue
        labels = outcome.labels(standing)
        distress = under_way(population, standing)
        rates = [
            standing.active.sum(),
            *(np.nansum(labels[name]) for name in ("late_90_days", "late_30_days")),
        ]
        counts = np.array([*rates, standing.there.sum(), (distress & standing.there).sum()], dtype=np.float32)
        window = population.window(standing)
        paths, known = {}, standing.there.copy()
        for office in offices(PROFILES[moving.profile]):
            series = [name for owner, name in WARNING_SERIES if owner == office.name]
            if not series:
                continue
            seen = observe(office, window)
            known &= np.isin(np.arange(len(known)), seen.rows)
            for name in series:
                paths[name] = np.full((len(known), MONTHS), np.nan, dtype=np.float32)
                paths[name][seen.rows] = seen.histories[name][:, -MONTHS:]
        x = aligned(
            np.stack(list(paths.values()), axis=1)[known], window.enterprises.sector[known], standing.month
        )
        yield number, Month(standing.month, counts, x, distress[known])


def aligned(paths: Floats, sector: Ints, month: int) -> Floats:
    """Features of (n, series, 18) histories that mean the same in every calendar month; ``month``: the first after."""
    x = np.log1p(paths)
    ends = np.arange(month - MONTHS, month) % 3 == 2
    with warnings.catch_warnings():
        # Rows without any month give NaN, which boosting accepts.
        warnings.simplefilter("ignore", RuntimeWarning)
        for one in np.unique(sector):
            x[sector == one] -= np.nanmean(x[sector == one], axis=0)
        spans = [slice(12, 18), slice(9, 15), slice(6, 12), slice(0, 12)]
        rhythm = [
            np.nanmean(x[..., s][..., ends[s]], -1) - np.nanmean(x[..., s][..., ~ends[s]], -1) for s in spans
        ]
        mean = np.nanmean(x, axis=-1)
        smooth = [np.nanmean(x[..., t : t + 3], axis=-1) - mean for t in range(MONTHS - 2)]
        flat = x - np.where(ends, 2 / 3, -1 / 3) * rhythm[-1][..., None]
        last = [flat[..., t] - mean for t in range(9, MONTHS)]
        steps = [np.nanmean(flat[..., -k:], -1) - np.nanmean(flat[..., :-k], -1) for k in range(1, 10)]
    gaps = [np.isnan(x[..., -k:]).sum(axis=-1) for k in (2, 6, MONTHS)]
    return np.concatenate([*rhythm, *smooth, *last, *steps, mean, *gaps], axis=1).astype(np.float32)


def lines(found: dict[int, Month]) -> Iterator[str]:
    """The table: the development month's recall is of enterprises that the model was not fitted on."""
    first = found[0]
    train = np.random.default_rng(0).random(len(first.distress)) < TRAINING
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.07, max_leaf_nodes=12, min_samples_leaf=60, early_stopping=False
    ).fit(first.x[train], first.distress[train])
    scores = {k: model.predict_proba(m.x)[:, 1] for k, m in found.items()}
    threshold = np.quantile(scores[0][~train & ~first.distress], 1 - FALSE_ALARMS)
    yield HEAD
    for number, one in sorted(found.items()):
        kept = ~train if number == 0 else np.ones(len(one.distress), dtype=bool)
        warned = scores[number] > threshold
        loans, late, behind, there, distressed = one.counts
        figures = (late / loans, behind / loans, distressed / there, warned[kept & one.distress].mean())
        shown = " | ".join(f"{100 * f:.1f} %" for f in (*figures, warned[kept & ~one.distress].mean()))
        yield f"| {folder_of(number)} | {calendar(number)} | {shown} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m sim_institutions.calibration_months", description=__doc__
    )
    parser.add_argument("profile", nargs="?", choices=list(PROFILES), default="demo")
    parser.add_argument("--enterprises", type=int, default=131_072)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--months", type=int, nargs="*", default=[0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24])
    given = parser.parse_args()
    wanted = tuple(sorted({0, *given.months}))
    for line in lines(months(Moving(given.profile, given.enterprises, given.seed, wanted[-1]), wanted)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
