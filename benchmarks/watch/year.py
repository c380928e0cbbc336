"""A year of a bank's loans: is each distress that was planted warned of once, and how many are warned of for nothing?

A province that moves on (`sim_institutions --months`) is written, or used again. Its warning study (label distress) runs
on the development month; every member approves the model, and the city bank watches its active loans by it for twelve
months through the members' own handlers. Alerts are held against the truth, which no member knows: distress that began
in the last six months at a loan that was active. Warnings are held against what the bank's workout found (outcomes):
the share that was warned of among loans without distress, beside the interval that the study stated for it.

    python benchmarks/watch/year.py [--folder DIR] [--profile demo] [--enterprises N] [--epsilon 3] [--with-season] [--out FILE]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.clients.node import Node
from fedrisk.engine.kept_parts import follows
from fedrisk.models.warning_point import WarningPoint
from fedrisk.serving import registry
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.watching.alert_book import AlertBook, Standing
from fedrisk.watching.history import Kept
from fedrisk.watching.month import Month
from fedrisk.watching.run import watch, watch_folder

BANK, HOLDERS = "city_bank", ("tax_office", "power_utility", "social_insurance")
YEAR, LAST, FOUND = 12, 6, 3
"""Months that are watched; the last of them whose distress counts; months until a workout's outcome is known."""

RULES = """[policy.serving]
consent = "none"
ages = "always"
per_day = 100000000
"""
WATCH = '[watch]\nactive = "active"\nfall = 0\n'


def province(folder: Path, given: argparse.Namespace) -> None:
    """Write the province, with what each institution allows and the bank watches."""
    words = ["--months", YEAR + FOUND, "--profile", given.profile, "--seed", given.seed, "--out", folder]
    if given.enterprises:
        words += ["--enterprises", given.enterprises]
    subprocess.run([sys.executable, "-m", "sim_institutions", *map(str, words)], check=True)
    for name in (BANK, *HOLDERS):
        file = folder / "institutions" / f"{name}.toml"
        text = file.read_text("utf-8").replace("[policy.serving]\n", RULES, 1)
        if name == BANK:
            text = text.partition("[watch]\n")[0] + WATCH
        if given.with_season:
            text = "".join(line for line in text.splitlines(True) if not line.startswith("season"))
        file.write_text(text, "utf-8")


def model_of(folder: Path, study: str, epsilon: float) -> tuple[dict[str, Path], WarningPoint]:
    """Run the study on the development month; its model is approved and the bank's champion. Files, and threshold."""
    files = {name: folder / "institutions" / f"{name}.toml" for name in (BANK, *HOLDERS)}
    node = Node.open(files[BANK])
    if not node.store.models.parts():
        words = [
            "run",
            folder / f"{study}.toml",
            "--out",
            folder / "results",
            "--set",
            f"privacy.epsilon={epsilon}",
        ]
        subprocess.run([sys.executable, "-m", "fedrisk.cli", *map(str, words)], check=True)
        for name, file in files.items():
            one = Node.open(file)
            (part,) = one.store.models.parts()
            registry.approve(one, part.model, who="a benchmark", why="", follows=follows(one), again=True)
            if name == BANK:
                registry.deploy(one, part.model, as_="champion", who="a benchmark")
    (part,) = Node.open(files[BANK]).store.models.parts()
    if part.warning is None:
        raise SystemExit("the study set no threshold: too few enterprises for its evaluation at this epsilon")
    return files, part.warning


def watched(folder: Path, files: dict[str, Path], calendar: dict[str, str], name: str) -> Kept:
    """The year's months, one after the other."""
    for k in range(1, YEAR + 1):
        place = f"m{k:02d}"
        os.environ["MONTH"] = place
        relay = LocalRelay(files, BANK)
        try:
            done = watch(Node.open(files[BANK]), name, Month.parse(calendar[place]), relay)
        finally:
            relay.close()
        said = done.about["scores"]
        print(f"{done.month}: {said['rows']:,} loans, {len(done.alerts):,} alerts", file=sys.stderr)
    return Kept(watch_folder(Node.open(files[BANK])) / name)


def planted(folder: Path, kept: Kept, calendar: dict[str, str]) -> dict[str, Month]:
    """Month in which distress began, of loans in the last months of the year that were watched in it or later."""
    out: dict[str, Month] = {}
    for k in range(YEAR - LAST + 1, YEAR + 1):
        month = Month.parse(calendar[f"m{k:02d}"])
        truth = pd.read_parquet(folder / "truth" / f"m{k:02d}.parquet", columns=["id", "distress_began"])
        for id in truth["id"][truth["distress_began"]]:
            out.setdefault(str(id), month)
    months = [m for m in kept.months() if m.since(kept.months()[0]) < YEAR]
    seen = {m: set(kept.read_month(m, ["id"])["id"].to_pylist()) for m in months}
    return {id: m for id, m in out.items() if any(id in seen[later] for later in months if later >= m)}


def by_outcome(folder: Path, kept: Kept, point: WarningPoint) -> dict[str, Any]:
    """Loans with a known outcome by month in which they were watched, and how many of them were warned of."""
    files = sorted(folder.glob(f"m*/outcomes/{BANK}.parquet"))
    every = pd.concat([pd.read_parquet(f).astype({"month": str, "label": str}) for f in files])
    known = every[every["label"] == "distress"].drop_duplicates(["id", "month"], keep="last")
    counts, by_month = np.zeros((2, 2), np.int64), {}
    for month in kept.months():
        scores = kept.read_month(month, ["id", "score"]).to_pandas().dropna()
        rows = scores.merge(known[known["month"] == str(month)], on="id")
        for outcome in (0, 1):
            of = rows[rows["outcome"] == outcome]
            warned = int(point.warns(of["score"].to_numpy()).sum())
            counts[outcome] += (len(of), warned)
            if not outcome and len(of):
                by_month[str(month)] = round(warned / len(of), 4)
    (well, false), (bad, right) = counts.tolist()
    return {
        "without_distress": well,
        "false_alarm_rate": false / max(well, 1),
        "with_distress": bad,
        "recall": right / max(bad, 1),
        "false_alarms_by_month": by_month,
    }


def told(found: Iterable[Standing], began: dict[str, Month]) -> dict[str, int]:
    """How often each planted distress was told, from the month in which it began."""
    counts = dict.fromkeys(("once", "before", "never", "more"), 0)
    alerts: dict[str, list[Standing]] = {}
    for one in found:
        alerts.setdefault(one.alert.enterprise, []).append(one)
    for id, month in began.items():
        mine = alerts.get(id, [])
        after = [one for one in mine if Month.parse(one.alert.month) >= month]
        going = [
            one for one in mine if one not in after and (one.over is None or Month.parse(one.over) >= month)
        ]
        told = len(after)
        counts["more" if told > 1 else "once" if told else "before" if going else "never"] += 1
    return counts


def outside(files: dict[str, Path], found: Iterable[Standing]) -> int:
    """Files of the holders' stores in which an alert's id stands."""
    ids = [one.alert.id.encode() for one in found]
    count = 0
    for name in HOLDERS:
        for path in Node.open(files[name]).store.path.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                count += any(id in content for id in ids)
    return count


def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    os.environ |= {"FEDRISK_HOME": str(folder / "home"), "MONTH": "development"}
    if not (folder / "truth.json").exists():
        province(folder, given)
    files, point = model_of(folder, given.study, given.epsilon)
    calendar = json.loads((folder / "months.json").read_text("utf-8"))
    name = Node.open(files[BANK]).store.models.parts()[0].name
    kept = watched(folder, files, calendar, name)
    found = AlertBook(kept.folder).standing()
    began = planted(folder, kept, calendar)
    stated, last = point.false_alarms, kept.months()[-1]
    early = {id: month for id, month in began.items() if last.since(month) >= FOUND}
    outcomes = by_outcome(folder, kept, point)
    return {
        "profile": given.profile,
        "epsilon": given.epsilon,
        "loans": kept.about(kept.months()[-1])["rows"],
        "alerts": len(found),
        "alerts_by_month": pd.Series([one.alert.month for one in found])
        .value_counts()
        .sort_index()
        .to_dict(),
        "planted": len(began),
        **told(found, began),
        # Two bad months may be a dip: of distress that began lately nobody can know yet.
        "planted_with_time": len(early),
        "with_time": told(found, early),
        "stated": point.stated,
        "stated_low": stated.low,
        "stated_high": stated.high,
        "recall_stated": point.recall.model_dump(),
        **outcomes,
        "within": stated.low <= outcomes["false_alarm_rate"] <= stated.high,
        "outside_the_bank": outside(files, found),
    }


def main() -> int:
    """Measure, print, write; 1 where a distress is told twice, or something of an alert is outside the bank."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="of the province, used again where it is there")
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--enterprises", type=int, help="default: the profile's")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument(
        "--study", default="warning", help="the study file in the province's folder, without .toml"
    )
    parser.add_argument(
        "--with-season", action="store_true", help="files state no seasonal indices: it is left in the months"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("year.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary) / "province").resolve()
        found = measure(folder, given)
    print(json.dumps(found, indent=1))
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(found["more"] > 0 or found["outside_the_bank"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
