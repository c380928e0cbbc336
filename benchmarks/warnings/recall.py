"""Recall of the planted distress at 5.2 % false alarms, of a scorecard on history columns at epsilon 3.

Reads a province that moves on (`python -m sim_institutions --months`), pools the active borrowers of a month with what
holders have of them, and computes the columns of ``COLUMNS`` with the product's own formulas. The scorecard's estimator
is fitted with the protocol's noise on 70 % of the borrowers of the development month; recall is measured on the others,
and on the months that are named. The threshold is the exact one of the rows that are measured: what the product's own
threshold adds is in threshold.py.

    python -m sim_institutions --profile consortium --months 1 --seed 2 --out /tmp/moving
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/warnings/recall.py /tmp/moving --months m01 --out recall.json
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from fedrisk.alignment.ids import normalise
from fedrisk.data.features import Feature
from fedrisk.data.history_kinds import HistoryRule
from fedrisk.data.season import without_season
from fedrisk.metrics import auc
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves, radii, shape_bases
from fedrisk.models.estimator import moment_equations, weights_from
from fedrisk.models.history_columns import compute
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.logistic_step import logistic_equations
from fedrisk.privacy.accounting import mu_for
from fedrisk.recipes.scorecard.plan import SHARES
from fedrisk.releases.budget import split
from sim_institutions.seasons import BY_SERIES

FALSE_ALARMS = (0.052, 0.01)
DELTA = 1e-7
MONTHS = 18
# Months after which distress recovers.
RECOVERING = 9
HOLDERS = {"tax_office": "invoices", "power_utility": "load", "social_insurance": "headcount"}
COLUMNS = {
    "tax_office": [
        ("bunched_fall_evidence", {"since": 2}),
        ("lasting_fall", {}),
        ("unmade_gaps", {"months": 9}),
    ],
    "power_utility": [("fall_evidence", {"since": 1}), ("lasting_fall", {})],
    "social_insurance": [("fall_evidence", {}), ("lasting_fall", {}), ("gaps", {"months": 9})],
}
PLAIN = ("fall", "yearly_fall", "trend", "volatility", "gaps")
BANK = ("turnover_growth_quarter", "overdraft_days", "days_late", "turnover_variation", "limit_use")
OWN = {"power_utility": ("late_bills",), "court": ("open_cases", "enforcement_cases", "cases_as_defendant")}


@dataclass(frozen=True, eq=False)
class Month:
    """Active borrowers of a month: columns as (owner, name, edges, values), and what is true of them.

    distress: under way, (n,). began: months since it began. course: which one, as texts. known: at all three holders.
    """

    columns: list[tuple[str, str, tuple[float, ...], np.ndarray]]
    distress: np.ndarray
    began: np.ndarray
    course: np.ndarray
    known: np.ndarray


def month_of(root: Path, name: str, every: bool = False, season: bool = True) -> Month:
    """What the institutions have of a month's borrowers.

    every: distress from its first month on, not only as banks label it. season: whether it is taken out of the months
    by the published indices, as the province's files say.
    """
    truth = pd.read_parquet(root / "truth" / f"{name}.parquet").set_index("id")
    truth = truth[truth[[c for c in truth if c.startswith("loan_")]].any(axis=1)]
    year, number = map(int, json.loads((root / "months.json").read_text())[name].split("-"))
    ends, columns, known = 12 * year + number - 1, [], np.ones(len(truth), bool)
    for holder, series in HOLDERS.items():
        names = [f"{series}_m{k:02d}" for k in range(1, MONTHS + 1)]
        frame = table(root / name / "histories" / f"{holder}.parquet", names)
        known &= truth.index.isin(frame.index)
        paths = frame.reindex(truth.index).to_numpy(float)
        if season and series in BY_SERIES:
            sector = table(root / name / "data" / f"{holder}.parquet", ["sector"])["sector"].astype(object)
            groups = sector.reindex(truth.index).to_numpy(object)
            paths = without_season(paths, BY_SERIES[series], np.full(len(paths), ends), groups)
        for kind, keys in [*COLUMNS[holder], *((kind, {}) for kind in PLAIN)]:
            # Where distress counts from its first month on, no fall is too new.
            keys = {k: 0 if k == "since" and every else v for k, v in keys.items()}
            rule = HistoryRule(series=series, kind=kind, over=MONTHS, low=0, high=1e9, better="high", **keys)
            columns.append((holder, named(kind, keys), rule.of.bins, compute(rule, paths, ends=ends)))
    banks = [c.removeprefix("loan_") for c in truth if c.startswith("loan_")]
    own = pd.concat([table(root / name / "data" / f"{bank}.parquet", [*BANK]) for bank in banks])
    own = own[~own.index.duplicated()].reindex(truth.index)
    columns += [("bank", c, edges_of(own[c]), own[c].to_numpy(float)) for c in BANK]
    for owner, names in OWN.items():
        path = root / name / "data" / f"{owner}.parquet"
        if path.exists():
            frame = table(path, [*names]).reindex(truth.index)
            columns += [(owner, c, edges_of(frame[c]), frame[c].to_numpy(float)) for c in names]
    return Month(
        columns,
        distress_of(truth, every),
        truth["course_months"].to_numpy(int),
        truth["course"].to_numpy(str),
        known,
    )


def distress_of(truth: pd.DataFrame, every: bool) -> np.ndarray:
    """Who is in distress: as banks label it, from its third month on, or everybody whose distress does not recover yet."""
    if not every:
        return truth["distress"].to_numpy(bool)
    return ((truth["course"] == "distress") & (truth["course_months"] < RECOVERING)).to_numpy(bool)


def table(path: Path, names: list[str]) -> pd.DataFrame:
    """Columns of an institution's file by normalised id, without rows of mistyped ids."""
    frame = pd.read_parquet(path, columns=["uscc", *names])
    ids, refused = normalise(frame.pop("uscc").to_numpy(object), "uscc")
    kept = ~np.asarray(refused, bool)
    frame = frame[kept].set_axis(pd.Index(ids[kept]))
    return frame[~frame.index.duplicated()]


def edges_of(values: pd.Series) -> tuple[float, ...]:
    """Edges as a person who knows the column would state them: equally filled, found without noise here."""
    edges = np.unique(np.nanquantile(values.to_numpy(float), np.arange(1, 12) / 12))
    return tuple(float(e) for e in edges[edges > np.nanmin(values)])


@dataclass(frozen=True, eq=False)
class Card:
    """A fitted scorecard: bins, and log odds by code, of each column."""

    bins: list[Bins]
    weights: list[np.ndarray]

    def score(self, month: Month, chosen: list[int]) -> np.ndarray:
        """Log odds of distress, (n,)."""
        parts = zip(self.weights, self.bins, chosen, strict=True)
        return np.sum([w[b.codes(month.columns[k][3])] for w, b, k in parts], axis=0)


def fitted(
    month: Month, chosen: list[int], rows: np.ndarray, epsilon: float, seed: int, logistic: bool
) -> Card:
    """The scorecard's estimator on ``rows``, with the noise of a bank and of a holder on every sum.

    logistic: by the step that studies of warnings have, else by the linear one of other scorecards.
    """
    rng, y = np.random.default_rng(seed), month.distress[rows].astype(int)
    mu = split(np.inf if np.isinf(epsilon) else mu_for(epsilon, DELTA), SHARES, without=("edges",))
    columns = [month.columns[k] for k in chosen]
    bins = [
        Bins(Feature(institution=o, column=c, low=-1e12, high=1e12, bins=e), edges=e)
        for o, c, e, _ in columns
    ]
    codes = [b.codes(x[rows]) for b, (*_, x) in zip(bins, columns, strict=True)]
    sd = np.sqrt(2 * len(columns)) / mu["counts"]

    def counts(label: np.ndarray) -> tuple[np.ndarray, ...]:
        found = (np.bincount(c, label, b.size) for b, c in zip(bins, codes, strict=True))
        return tuple(f + sd * rng.normal(size=len(f)) for f in found)

    released = LabelCounts(counts(y), counts(1 - y), np.full(len(columns), sd**2))
    curves = fit_curves(released, bins)
    bases = shape_bases(curves)
    owners = [o for o, *_ in columns]
    limits = radii(bases, curves, owners)
    psi = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
    of_column = np.repeat(owners, [b.shape[1] for b in bases])
    for owner, radius in limits.items():
        part = of_column == owner
        norm = np.linalg.norm(psi[:, part], axis=1, keepdims=True)
        psi[:, part] *= np.minimum(1, radius / np.maximum(norm, 1e-12))
    gram = psi.T @ psi
    noise_sd = sum(r * r for r in limits.values()) / mu["gram"]
    noise = np.triu(rng.normal(size=gram.shape), 1) * noise_sd
    sums = bases, released, curves, gram + noise + noise.T, np.full(gram.shape, noise_sd**2)
    equations = logistic_equations(*sums, owners) if logistic else moment_equations(*sums)
    return Card(bins, list(weights_from(equations, bases, curves).contributions))


def figures(month: Month, score: np.ndarray, rows: np.ndarray) -> dict[str, object]:
    """Recall at each rate of false alarms on ``rows``, with what is behind it."""
    y, out = month.distress & rows, {"auc": auc(month.distress[rows].astype(int), score[rows])}
    others = rows & ~month.distress
    for rate in FALSE_ALARMS:
        warned = score > np.quantile(score[others], 1 - rate)
        share = float(warned[y].mean())
        out[f"recall_{rate}"] = share
        out[f"error_{rate}"] = float(np.sqrt(share * (1 - share) / y.sum()))
    known = month.known & rows
    warned = score > np.quantile(score[others], 1 - FALSE_ALARMS[0])
    of_known = score > np.quantile(score[known & ~month.distress], 1 - FALSE_ALARMS[0])
    calm = others & (month.course != "distress")
    without = score > np.quantile(score[calm], 1 - FALSE_ALARMS[0])
    return {
        **out,
        "recall_known": float(of_known[known & month.distress].mean()),
        "recall_recovering_apart": float(without[y].mean()),
        "recall_recent": float(warned[y & (month.began < 3)].mean()),
        "recall_older": float(warned[y & (month.began >= 3)].mean()),
        "by_age": {int(k): float(warned[y & (month.began == k)].mean()) for k in np.unique(month.began[y])},
        "alarms": {
            str(c): float(warned[others & (month.course == c)].mean())
            for c in np.unique(month.course[others])
        },
    }


def sets(month: Month) -> dict[str, list[int]]:
    """Which columns each scorecard has: plain shares and falls, those of ``COLUMNS``, and these with others."""
    places = [(owner, name) for owner, name, *_ in month.columns]
    ready = {(holder, named(kind, keys)) for holder, of in COLUMNS.items() for kind, keys in of}
    plain = {(holder, kind) for holder in COLUMNS for kind in PLAIN}
    return {
        "plain": [k for k, place in enumerate(places) if place in plain],
        "ready": [k for k, place in enumerate(places) if place in ready],
        "ready and own": [k for k, place in enumerate(places) if place in ready or place not in plain],
    }


def named(kind: str, keys: dict[str, int]) -> str:
    """A column of a kind with those keys; ``since`` is no part of its name."""
    return "_".join([kind, *(str(v) for k, v in keys.items() if k != "since")])


def without_privacy(month: Month, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of models fitted on ``rows`` without privacy, which say where the ready columns lose.

    logistic: on the bins of the ready columns. within: boosting on all history columns, each tree within one holder.
    joint: boosting on them all.
    """
    chosen = sets(month)["ready"]
    bins = [
        Bins(Feature(institution=o, column=c, low=-1e12, high=1e12, bins=e), edges=e)
        for o, c, e, _ in (month.columns[k] for k in chosen)
    ]
    codes = [b.codes(month.columns[k][3]) for b, k in zip(bins, chosen, strict=True)]
    x = np.concatenate(
        [np.eye(b.size, dtype=np.float32)[c] for b, c in zip(bins, codes, strict=True)], axis=1
    )
    y = month.distress
    out = {"logistic": LogisticRegression(max_iter=200).fit(x[rows], y[rows]).decision_function(x)}
    every = [
        k
        for k, (owner, *_) in enumerate(month.columns)
        if owner in HOLDERS and month.columns[k][1] != "late_bills"
    ]
    values = np.column_stack([month.columns[k][3] for k in every])
    holders = [{i for i, k in enumerate(every) if month.columns[k][0] == holder} for holder in HOLDERS]
    for name, within in (("within", holders), ("joint", None)):
        model = HistGradientBoostingClassifier(
            max_iter=200,
            learning_rate=0.07,
            max_leaf_nodes=12,
            min_samples_leaf=60,
            early_stopping=False,
            interaction_cst=within,
        )
        out[name] = model.fit(values[rows], y[rows]).decision_function(values)
    return out


def main() -> None:
    """Fit on the development month, measure there and on further months; print and write what is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("province", type=Path)
    parser.add_argument(
        "--months", nargs="*", default=[], help="further months to measure on, for example m01 m12"
    )
    parser.add_argument("--epsilon", nargs="*", type=float, default=[3.0, np.inf])
    parser.add_argument("--noise", nargs="*", type=int, default=[1], help="seeds of the noise")
    parser.add_argument(
        "--others", action="store_true", help="models without privacy as well, for comparison"
    )
    parser.add_argument(
        "--every", action="store_true", help="distress from its first month on, not from its third"
    )
    parser.add_argument("--with-season", action="store_true", help="leave the season in the months")
    parser.add_argument("--step", choices=("linear", "logistic"), default="logistic")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    months = {
        name: month_of(given.province, name, given.every, not given.with_season)
        for name in ("development", *given.months)
    }
    made = months["development"]
    training = np.random.default_rng(0).random(len(made.distress)) < 0.7
    rows = [
        {"columns": name, "month": "development", **figures(made, score, ~training)}
        for name, score in (without_privacy(made, training) if given.others else {}).items()
    ]
    for name, chosen in sets(made).items():
        for epsilon in given.epsilon:
            for seed in given.noise if np.isfinite(epsilon) else [0]:
                card = fitted(made, chosen, training, epsilon, seed, given.step == "logistic")
                for on, month in months.items():
                    held = ~training if on == "development" else np.ones(len(month.distress), bool)
                    found = figures(month, card.score(month, chosen), held)
                    rows.append(
                        {"columns": name, "epsilon": str(epsilon), "noise": seed, "month": on, **found}
                    )
    for row in rows:
        said = (
            f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items() if k != "by_age"
        )
        print(", ".join(said))
    if given.out:
        given.out.write_text(
            json.dumps({"province": given.province.name, "every": given.every, "runs": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
