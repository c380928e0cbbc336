"""What a year of a bank's watch tells of holders' columns: bits that the numbers have, and an inversion of them.

A province that moves on is written, or used again, with three studies on its development month: champion, challenger,
warning model. Each month every holder gives of each enterprise what it gives when it serves (`serving/kinds`), and the
bank gets the sums and the counts of ages. Then:

- **bits**: how long a code of a year's numbers has to be. Numbers of half of the enterprises are coded by the changes
  that the other half had, so that the length is no less than the bits that there are, and is not made small by chance.
- **inversion** (Luo et al. 2021, with more than they grant): an attacker that has all columns of half of the
  enterprises learns to read the bins of the last month from the numbers, and reads those of the other half. What it
  gains over the shares of bins alone is in bits, a lower bound of what is told. All of its rows were read, no noise.
- **differences**: in how many loan-months the sum moved, in how many of these at one holder alone, and how often the
  bank names that holder by the change and the number before, beside how often by always naming the same one.

The same of the months of a health index that one answer tells in the last month.

    python benchmarks/watch/told.py [--folder DIR] [--enterprises 8000] [--seed 11] [--epsilon 3] [--out FILE]
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from fedrisk.clients.node import Node
from fedrisk.models.model_part import ModelPart
from fedrisk.models.told_bits import told_bits
from fedrisk.serving.ages import AGES, age_classes
from fedrisk.serving.current import CurrentData, Found, today
from fedrisk.serving.kinds import bins_of, given_points

BANK, HOLDERS = "city_bank", ("tax_office", "power_utility", "social_insurance")
STUDIES = {"champion": "study", "challenger": "challenger", "warning": "warning"}
NAMES = {"demo": "champion", "challenger": "challenger", "demo_warning": "warning", "demo_health": "index"}
YEAR, TREES, LEAF = 12, 60, 20
INDEX_MONTHS = 4
"""Histories of 18 months less the longest look back of 15, and one."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """What holders give of n enterprises, month by month, the earliest first.

    by_holder: by model, (months, holders, n) points. ages: counts by class, as one number, (months, n). bins: bin codes
    of each of the champion's columns in the last month, (n,) by HOLDER.COLUMN.
    """

    by_holder: Mapping[str, Ints]
    ages: Ints
    bins: Mapping[str, Ints]

    def sums(self, model: str) -> Ints:
        """What the bank opens, (months, n)."""
        return np.asarray(self.by_holder[model].sum(axis=1))


def province(folder: Path, given: argparse.Namespace) -> None:
    """Write the province and run its studies, where they are not there."""
    if not (folder / "truth.json").exists():
        words = ["--months", YEAR, "--enterprises", given.enterprises, "--seed", given.seed, "--out", folder]
        subprocess.run([sys.executable, "-m", "sim_institutions", *map(str, words)], check=True)
    study = (folder / "study.toml").read_text("utf-8")
    (folder / "challenger.toml").write_text(study.replace('name = "demo"', 'name = "challenger"', 1), "utf-8")
    done = len(Node.open(folder / "institutions" / f"{BANK}.toml").store.models.parts())
    for name in [*STUDIES.values(), "health"][done:]:
        words = ["run", folder / f"{name}.toml", "--out", folder / f"results_{name}"]
        words += ["--set", f"privacy.epsilon={given.epsilon}"]
        subprocess.run([sys.executable, "-m", "fedrisk.cli", *map(str, words)], check=True)


def parts_of(folder: Path) -> dict[str, dict[str, ModelPart]]:
    """By holder its parts of the models, by NAMES."""
    return {
        holder: {
            NAMES[p.name]: p
            for p in Node.open(folder / "institutions" / f"{holder}.toml").store.models.parts()
        }
        for holder in HOLDERS
    }


def told(folder: Path, parts: Mapping[str, Mapping[str, ModelPart]], ids: Sequence[str]) -> Told:
    """What is told of enterprises, by the holders' own data and code."""
    shape = (YEAR, len(HOLDERS), len(ids))
    points = {model: np.zeros(shape, np.int64) for model in STUDIES}
    classes, bins = np.zeros(shape, np.int64), dict[str, Ints]()
    for k in range(YEAR):
        for h, holder in enumerate(HOLDERS):
            found = looked_up(folder, holder, k, ids)
            for model in STUDIES:
                part = parts[holder][model]
                used = found.used_for(b.feature.column for b in bins_of(part))
                fresh = used.usable(today(), part.fresh_days)
                given, usable = given_points(part, used, fresh)
                points[model][k, h] = given[0]
                if model == "champion":
                    classes[k, h] = age_classes(usable, used.day, today(), part.fresh_days)
                if model == "champion" and k == YEAR - 1:
                    codes, _ = used.codes(bins_of(part), fresh)
                    bins |= {f"{holder}.{b.feature.column}": codes[:, j] for j, b in enumerate(bins_of(part))}
    counts = np.stack([(classes == c).sum(axis=1) for c in range(len(AGES))])
    bins = {name: code for name, code in bins.items() if len(set(code.tolist())) > 1}
    return Told(points, np.tensordot(10 ** np.arange(len(AGES)), counts, 1), bins)


def looked_up(folder: Path, holder: str, month: int, ids: Sequence[str]) -> Found:
    """Enterprises in a holder's data of a month."""
    os.environ["MONTH"] = f"m{month + 1:02d}"
    node = Node.open(folder / "institutions" / f"{holder}.toml")
    with tempfile.TemporaryDirectory() as scratch:
        data = CurrentData.open(node.institution, Path(scratch) / "serving")
        found = data.rows(ids)
        data.close()
    return found


def index_told(folder: Path, parts: Mapping[str, Mapping[str, ModelPart]], ids: Sequence[str]) -> Ints:
    """What one answer tells of an index in the last month, (months, holders, n), the earliest first."""
    by_holder = []
    for holder in HOLDERS:
        part = parts[holder]["index"]
        found = looked_up(folder, holder, YEAR - 1, ids)
        used = found.used_for(b.feature.column for b in bins_of(part))
        fresh = used.usable(today(), part.fresh_days)
        months = [used if not ago else used.earlier(ago) for ago in reversed(range(INDEX_MONTHS))]
        by_holder.append([given_points(part, month, fresh)[0][0] for month in months])
    return np.array(by_holder).swapaxes(0, 1)


def code_length(numbers: Ints, train: NDArray[np.bool_]) -> float:
    """Mean bits of a year's numbers of the enterprises that are not in ``train``, (months, n), coded by those that are.

    The first number by its frequency, each further one by the frequency of its change from numbers in the same tenth,
    both smoothed over all values that there may be: an upper bound of the entropy, by held-out rows.
    """
    values, codes = np.unique(numbers, return_inverse=True)
    codes = codes.reshape(numbers.shape)
    tenth = np.searchsorted(np.quantile(codes[:, train], np.linspace(0.1, 0.9, 9)), codes)
    size, test = len(values), ~train
    first = _smoothed(np.bincount(codes[0, train], minlength=size))
    total = -np.log2(first[codes[0, test]])
    for k in range(1, len(codes)):
        change = codes[k] - codes[k - 1] + size - 1
        for group in range(10):
            here = tenth[k - 1] == group
            share = _smoothed(np.bincount(change[here & train], minlength=2 * size - 1))
            rows = here[test]
            total[rows] -= np.log2(share[change[test][rows]])
    return float(total.mean())


def _smoothed(counts: NDArray[Any]) -> Floats:
    """Frequencies with a fiftieth of a row more in every cell."""
    more = counts + 0.02
    return np.asarray(more / more.sum())


def of_months(numbers: Ints) -> Floats:
    """A year's numbers as they are learnt from, (k, n): each, each change, how far each is from the last, the mean."""
    if len(numbers) == 1:
        return numbers.astype(float)
    return np.concatenate(
        [numbers, np.diff(numbers, axis=0), numbers[-1:] - numbers[:-1], numbers.mean(0, keepdims=True)]
    )


def inversion(truth: Ints, seen: Floats, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """Bits of each row's bins that the numbers tell beyond their shares, and whether each is guessed right, (n, columns).

    truth: bin codes, (n, columns). seen: (k, n). Learnt on one half and read on the other, and the other way round.
    """
    n, columns = truth.shape
    half = rng.permutation(n) < n // 2
    gained, right = np.zeros((n, columns)), np.zeros((n, columns), bool)
    for train in (half, ~half):
        trees = ExtraTreesClassifier(
            TREES, min_samples_leaf=LEAF, max_features=None, random_state=1, n_jobs=1
        ).fit(seen.T[train], truth[train])
        guessed = trees.predict_proba(seen.T[~train])
        for j in range(columns):
            shares = _smoothed(np.bincount(truth[train, j], minlength=int(truth[:, j].max()) + 1))
            # What a leaf never saw is not impossible.
            chance = np.tile(0.02 * shares, ((~train).sum(), 1))
            chance[:, trees.classes_[j].astype(int)] += 0.98 * guessed[j]
            at = truth[~train, j]
            gained[~train, j] = np.log2(chance[np.arange(len(at)), at] / shares[at])
            right[~train, j] = chance.argmax(axis=1) == at
    return gained, right


def entropy(codes: Ints) -> float:
    """Of a sample, in bits."""
    share = np.bincount(codes) / len(codes)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def differences(by_holder: Ints, train: NDArray[np.bool_]) -> dict[str, float]:
    """Shares of loan-months in which the sum moved, and of these in which one holder alone did; who that is.

    by_holder: (months, holders, n). named: by the commonest holder of the same change from a number of the same ten,
    learnt from rows of ``train``; by_habit: by the commonest holder of all.
    """
    sums = by_holder.sum(axis=1)
    change, moves = np.diff(sums, axis=0), np.diff(by_holder, axis=0) != 0
    alone = (moves.sum(axis=1) == 1) & (change != 0)
    month, row = np.nonzero(alone)
    rows = pd.DataFrame(
        {
            "holder": moves.argmax(axis=1)[month, row],
            "change": change[month, row],
            "before": sums[month, row] // 10,
            "train": train[row],
        }
    )
    learnt, tried = rows[rows["train"]], rows[~rows["train"]]
    usual = int(learnt["holder"].mode()[0])
    best = learnt.groupby(["change", "before"])["holder"].agg(lambda h: int(h.mode()[0])).rename("guess")
    guess = tried.join(best, on=["change", "before"])["guess"].fillna(usual)
    found = {
        "moved": (change != 0).mean(),
        "one_holder": alone.sum() / (change != 0).sum(),
        "named": (guess == tried["holder"]).mean(),
        "by_habit": (tried["holder"] == usual).mean(),
    }
    return {name: round(float(value), 3) for name, value in found.items()}


def read(found: Told, rows: Ints, rng: np.random.Generator) -> dict[str, Any]:
    """The inversion from less and from more numbers: bits column by column, added up, with 95 % from the rows."""
    names = list(found.bins)
    truth = np.stack([found.bins[name][rows] for name in names], axis=1)
    there = np.array([entropy(truth[:, j]) for j in range(len(names))])
    sums, ages = {model: found.sums(model)[:, rows] for model in STUDIES}, found.ages[:, rows]
    champion, every = sums["champion"], list(sums.values())
    seen = {
        "one_month": [champion[-1:]],
        "one_month_three_models": [numbers[-1:] for numbers in every],
        "a_year": [champion],
        "a_year_with_ages": [champion, ages],
        "a_year_three_models": every,
        "a_year_three_models_with_ages": [*every, ages],
    }
    out: dict[str, Any] = {"columns": len(names), "there_are": round(float(there.sum()), 1)}
    most = [np.bincount(truth[:, j]).max() for j in range(len(names))]
    out["by_guessing"] = round(float(np.mean(most)) / len(rows), 3)
    for name, numbers in seen.items():
        gained, right = inversion(truth, np.concatenate([of_months(n) for n in numbers]), rng)
        each, bits = gained.mean(axis=0), gained.sum(axis=1)
        best = int(np.argmax(each / there))
        error = 1.96 * float(bits.std()) / math.sqrt(len(rows))
        out[name] = {
            "bits": [round(float(bits.mean()) + k * error, 1) for k in (0, -1, 1)],
            "right": round(float(right.mean()), 3),
            "best_column": [names[best], round(float(each[best]), 2), round(float(there[best]), 2)],
        }
        print(f"{name}: {out[name]}", file=sys.stderr)
    return out


def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    os.environ |= {"FEDRISK_HOME": str(folder / "home"), "MONTH": "development"}
    province(folder, given)
    parts = parts_of(folder)
    ids = (
        pd.read_parquet(folder / "truth" / f"m{YEAR:02d}.parquet", columns=["id"])["id"].astype(str).tolist()
    )
    found, rng = told(folder, parts, ids), np.random.default_rng(given.seed)
    # Whom no holder knows has the same numbers all year, and makes every mean look small.
    rows = np.flatnonzero((found.ages[-1] // 1000) < len(HOLDERS))
    train = rng.permutation(len(rows)) < len(rows) // 2
    one, index = parts[HOLDERS[0]]["champion"], index_told(folder, parts, ids)[:, :, rows]
    bound = told_bits(one, "always")
    assert bound is not None and parts[HOLDERS[0]]["index"].values is not None
    sums = {model: found.sums(model)[:, rows] for model in STUDIES}
    return {
        "enterprises": len(rows),
        "epsilon": given.epsilon,
        "values": {model: part.values for model, part in parts[HOLDERS[0]].items()},
        "values_seen": {model: len(np.unique(numbers)) for model, numbers in sums.items()},
        # By the policy's default of 512 values, and by the values that these cards have.
        "stated_points": round(YEAR * math.log2(512), 1),
        "stated_with_ages": round(YEAR * (math.log2(512) + bound.ages), 1),
        "stated_by_card": round(YEAR * bound.points, 1),
        "code_bits": {model: round(code_length(numbers, train), 1) for model, numbers in sums.items()},
        "code_bits_first": round(code_length(sums["champion"][:1], train), 1),
        "code_bits_ages": round(code_length(found.ages[:, rows], train), 1),
        "differences": differences(found.by_holder["champion"][:, :, rows], train),
        "index": {
            "months": INDEX_MONTHS,
            "code_bits": [
                round(code_length(index.sum(axis=1)[:k], train), 2) for k in range(1, INDEX_MONTHS + 1)
            ],
            "differences": differences(index, train),
        },
        "inversion": read(found, rows, rng),
    }


def main() -> int:
    """Measure, print, write; 1 where numbers have more values than their bound."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="of the province, used again where it is there")
    parser.add_argument("--enterprises", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("told.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measure((given.folder or Path(temporary) / "province").resolve(), given)
    print(json.dumps(found, indent=1))
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(any(seen > found["values"][model] for model, seen in found["values_seen"].items()))


if __name__ == "__main__":
    raise SystemExit(main())
