"""What the watch says of a portfolio that moves on: drift alarms, and back-tests, over simulated provinces.

    python benchmarks/backtest/run.py [--provinces 20] [--shifted 24] [--out benchmarks/backtest/results.json]

A *quiet* province is simulated for 13 months: the first, and a year of watching. A *shifted* one for 12 months, with
one column of one institution moved by half of its spread (or more rows of a flag) from a month on that is drawn. At each bank a
logistic regression of its own columns in the development month scores the active loans of each month; drift of its
score, grades and columns is looked for as `fedrisk watch` does, with the loans' moves between bins. Each department
counts its own table, as `fedrisk watch columns` does. Alarms of a year are those of its months from the second on.

Back-test: loans of the first month with what became of them in twelve months, by grade, against the mean of their true
probabilities of default, which no institution knows.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from fedrisk.alignment.ids import normalise
from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE
from fedrisk.analysis.watch.back_testing import back_test
from fedrisk.analysis.watch.common_shocks import shock_interval
from fedrisk.analysis.watch.drift_alarms import Counted, drifted

BANKS = ("city_bank", "rural_bank", "quick_bank")
OFFICES = ("tax_office", "power_utility", "social_insurance")
LABEL = "late_90_days"
SHIFTS = (
    ("city_bank.limit_use", 0.5),
    ("rural_bank.debt_to_assets", 0.5),
    ("quick_bank.secured", 0.2),
    ("city_bank.monthly_turnover", 0.5),
    ("tax_office.invoice_variation", 0.5),
    ("power_utility.load_variation", 0.5),
    ("social_insurance.staff_turnover", 0.5),
    ("rural_bank.limit_use", 0.3),
)
RIDGE = 1.0


def columns_of(folder, name):
    """Columns of an institution that models may use, as (name, kind)."""
    said = tomllib.loads((folder / "institutions" / f"{name}.toml").read_text(encoding="utf-8"))
    skipped = {LABEL, "distress", "late_30_days"}
    return [
        (c["name"], c["kind"])
        for c in said["dictionary"]["columns"]
        if c.get("feature", True) and c["name"] not in skipped and "history" not in c and c["kind"] != "date"
    ]


class Binned:
    """Bins of an institution's columns, by the tenths of one table."""

    def __init__(self, frame, columns):
        self.rules = {}
        for name, kind in columns:
            if name not in frame:
                continue
            if kind == "number":
                values = frame[name].to_numpy(float)
                edges = (
                    np.unique(np.nanquantile(values, np.arange(1, 10) / 10))
                    if np.isfinite(values).any()
                    else []
                )
                self.rules[name] = ("number", np.asarray(edges))
            else:
                self.rules[name] = ("category", np.sort(frame[name].dropna().astype(str).unique()))

    def codes(self, frame, name):
        """Bin of each row; the last one is of those without a value."""
        kind, edges = self.rules[name]
        if kind == "number":
            values = frame[name].to_numpy(float)
            return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
        values = frame[name].astype("object")
        place = {v: k for k, v in enumerate(edges)}
        return np.array(
            [place.get(str(v), len(edges)) if v == v and v is not None else len(edges) for v in values]
        )

    def size(self, name):
        kind, edges = self.rules[name]
        return len(edges) + (2 if kind == "number" else 1)

    def table(self, frame):
        return pd.DataFrame({n: self.codes(frame, n) for n in self.rules}, index=frame.index)


def read(folder, month, name):
    """A table by the public form of its ids, each once; banks spell them in several ways."""
    frame = pd.read_parquet(folder / month / "data" / f"{name}.parquet")
    frame.index = normalise(frame["uscc"].tolist(), "uscc")[0]
    return frame[~frame.index.duplicated()]


def active(frame):
    return frame[frame["active"] == 1] if "active" in frame else frame


def one_hot(codes, sizes):
    return np.concatenate([np.eye(sizes[n])[codes[n].to_numpy()] for n in codes], axis=1)


def fitted(x, y):
    """Weights of a ridge logistic regression; the first is the level."""
    x = np.column_stack([np.ones(len(x)), x])

    def loss(w):
        z = x @ w
        p = 1 / (1 + np.exp(-z))
        value = np.logaddexp(0, z).sum() - y @ z + RIDGE / 2 * (w[1:] @ w[1:])
        return value, x.T @ (p - y) + RIDGE * np.r_[0.0, w[1:]]

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x


def joint(before, now, size):
    place = now.index.get_indexer(before.index)
    a, b = before.to_numpy()[place >= 0], now.to_numpy()[place[place >= 0]]
    return np.bincount(a * size + b, minlength=size * size).reshape(size, size).astype(float)


def counts(codes, size):
    return np.bincount(codes, minlength=size).astype(float)


class Bank:
    """One bank's model, and its months."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        made = read(folder, "development", name)
        made = made[made[LABEL].isin((0, 1))]
        self.bins = Binned(made, columns_of(folder, name))
        self.sizes = {n: self.bins.size(n) for n in self.bins.rules}
        codes = self.bins.table(made)
        self.weights = fitted(one_hot(codes, self.sizes), made[LABEL].to_numpy(float))
        odds = self.log_odds(codes)
        self.edges = np.quantile(odds, np.arange(1, 10) / 10)
        self.sizes |= {"score": 10, "grade": DEFAULT_SCALE.size}
        self.development = self.scored(codes, odds)

    def log_odds(self, codes):
        x = one_hot(codes, {n: self.bins.size(n) for n in codes})
        return self.weights[0] + x @ self.weights[1:]

    def scored(self, codes, odds):
        grade = DEFAULT_SCALE.codes(1 / (1 + np.exp(-odds)))
        return codes.assign(score=np.searchsorted(self.edges, odds), grade=grade)

    def month(self, month):
        frame = active(read(self.folder, month, self.name))
        codes = self.bins.table(frame)
        odds = self.log_odds(codes)
        return self.scored(codes, odds), pd.Series(1 / (1 + np.exp(-odds)), frame.index)


def bank_alarms(bank, months, *, moves=True):
    """(month, column, which) of all alarms, and the largest index of each kind."""
    out, before, most = [], None, {"month": 0.0, "development": 0.0}
    for month in months:
        now, _ = bank.month(month)
        made = [
            Counted(
                name=n,
                now=counts(now[n], bank.sizes[n]),
                before=None if before is None else counts(before[n], bank.sizes[n]),
                development=Histogram.of(counts(bank.development[n], bank.sizes[n]), 0.0),
                moves=None if before is None or not moves else joint(before[n], now[n], bank.sizes[n]),
                ordered=False,
            )
            for n in now
        ]
        for d in drifted(made):
            out += [(month, d.name, which) for which in d.alarms]
            for which, found in (("month", d.by_month), ("development", d.by_development)):
                most[which] = max(most[which], 0.0 if found is None else found.index)
        before = now
    return out, most


def office_alarms(folder, name, months):
    first = read(folder, months[0], name)
    bins = Binned(first, columns_of(folder, name))
    reference, before, out = None, None, []
    for month in months:
        now = bins.table(read(folder, month, name))
        counted = {n: counts(now[n], bins.size(n)) for n in now}
        if reference is None:
            reference = counted
        else:
            made = [
                Counted(
                    name=n,
                    now=c,
                    before=before[n],
                    development=Histogram.of(reference[n], 0.0),
                    ordered=False,
                )
                for n, c in counted.items()
            ]
            out += [(month, d.name, which) for d in drifted(made) for which in d.alarms]
        before = counted
    return out


def outcomes(folder, name, calendar, months):
    """What became of the first month's loans within twelve, by id."""
    parts = [pd.read_parquet(folder / m / "outcomes" / f"{name}.parquet") for m in months[1:13]]
    told = pd.concat(parts)
    told = told[(told["label"] == LABEL) & (told["month"] == calendar[months[0]])]
    told.index = normalise(told["id"].tolist(), "uscc")[0]
    return told[~told.index.duplicated(keep="last")]["outcome"].astype(float)


def covered(folder, bank, calendar, months):
    """Of each grade of the first month: loans, defaults, true rate, and both intervals."""
    _, p = bank.month(months[0])
    y = outcomes(folder, bank.name, calendar, months).reindex(p.index)
    true = pd.read_parquet(folder / "truth" / f"{months[0]}.parquet").drop_duplicates("id").set_index("id")
    true = true["probability"].reindex(p.index)
    there = y.notna() & true.notna()
    p, y, true = p[there], y[there], true[there]
    found = back_test("first", p, y)
    code, rows = DEFAULT_SCALE.codes(p), []
    for k, (test, shocks) in enumerate(zip(found.grades, found.shocks, strict=True)):
        if test.size:
            rate = float(true.to_numpy()[code == k].mean())
            rows.append(
                {
                    "grade": test.grade,
                    "size": int(test.size),
                    "defaults": int(test.defaults),
                    "true": rate,
                    "jeffreys": [test.low, test.high],
                    "shocks": list(shocks),
                }
            )
    total = {"size": len(y), "defaults": int(y.sum()), "true": float(true.mean())}
    total["interval"] = list(shock_interval(float(y.sum()), len(y), 0.95, 0.0))
    return {"grades": rows, "total": total, "unknown": int((~there).sum())}


def simulated(folder, seed, months, enterprises, shift=None):
    command = [
        sys.executable,
        "-m",
        "sim_institutions",
        "--months",
        str(months),
        "--enterprises",
        str(enterprises),
    ]
    command += ["--seed", str(seed), "--no-histories", "--workers", "1", "--out", str(folder)]
    command += [] if shift is None else ["--shift", shift]
    subprocess.run(command, check=True, capture_output=True)
    return json.loads((folder / "months.json").read_text())


def quiet(seed, folder, enterprises):
    calendar = simulated(folder, seed, 13, enterprises)
    months = [f"m{k:02d}" for k in range(1, 14)]
    out = {"seed": seed, "banks": {}, "offices": {}}
    for name in BANKS:
        bank = Bank(folder, name)
        alarms, most = bank_alarms(bank, months)
        out["banks"][name] = {"alarms": alarms, "most": most, **covered(folder, bank, calendar, months)}
    for name in OFFICES:
        out["offices"][name] = office_alarms(folder, name, months)
    return out


def shifted(seed, folder, enterprises):
    rng = np.random.default_rng(seed)
    what, size = SHIFTS[seed % len(SHIFTS)]
    at = int(rng.integers(4, 12))
    simulated(folder, seed, 12, enterprises, f"{what}:m{at:02d}:{size}")
    months = [f"m{k:02d}" for k in range(1, 13)]
    owner, column = what.split(".")
    if owner in BANKS:
        alarms, _ = bank_alarms(Bank(folder, owner), months)
    else:
        alarms = office_alarms(folder, owner, months)
    return {
        "seed": seed,
        "shift": what,
        "size": size,
        "month": f"m{at:02d}",
        "column": column,
        "alarms": alarms,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--provinces", type=int, default=20)
    parser.add_argument("--shifted", type=int, default=24)
    parser.add_argument("--enterprises", type=int, default=6000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    given = parser.parse_args()
    found = {"quiet": [], "shifted": []}
    work = [(k, "quiet", 1 + k, quiet) for k in range(given.provinces)]
    work += [(k, "shifted", 101 + k, shifted) for k in range(given.shifted)]
    for _, kind, seed, one in sorted(work, key=lambda w: w[0]):
        folder = Path(tempfile.mkdtemp(prefix="backtest"))
        try:
            found[kind].append(one(seed, folder, given.enterprises))
        finally:
            shutil.rmtree(folder)
        given.out.write_text(
            json.dumps({**found, "said": said(found), "enterprises": given.enterprises}, indent=1)
        )
        print(kind, seed, flush=True)


def said(found):
    """The figures of the claims: rates over years, shifts and grades, with their numbers."""
    years = [
        alarms
        for p in found["quiet"]
        for alarms in (*(b["alarms"] for b in p["banks"].values()), *p["offices"].values())
    ]
    alarmed = sum(bool(alarms) for alarms in years)
    named = sum(
        [s["month"], s["column"], "month"] in [list(a) for a in s["alarms"]] for s in found["shifted"]
    )
    early = sum(any(m < s["month"] for m, *_ in s["alarms"]) for s in found["shifted"])
    grades = [g for p in found["quiet"] for b in p["banks"].values() for g in b["grades"]]

    def rate(of, key):
        return float(np.mean([g[key][0] <= g["true"] <= g[key][1] for g in of])) if of else None

    totals = [b["total"] for p in found["quiet"] for b in p["banks"].values()]
    return {
        "quiet_years": len(years),
        "quiet_alarms": alarmed,
        "quiet_rate": alarmed / len(years) if years else None,
        "shifts": len(found["shifted"]),
        "shifts_named": named,
        "named_rate": named / len(found["shifted"]) if found["shifted"] else None,
        "shifts_early": early,
        "grades": len(grades),
        "covered": rate(grades, "jeffreys"),
        "covered_shocks": rate(grades, "shocks"),
        "portfolios": len(totals),
        "covered_portfolios": rate(totals, "interval"),
    }


if __name__ == "__main__":
    main()
