"""Ledger: time of a release, and of every question at 100,000 spends.

Prints a table, writes results.json next to this file, then checks the claims.

Run from the root of the project: ``python benchmarks/ledger/run.py [FOLDER]``, where FOLDER is on the disk to
measure. Takes about a minute on one core. A release waits for the disk nine times; the time of one such wait
is measured separately and printed too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.spend import Spend

SIZES = (0, 1_000, 100_000)
RELEASES_AN_ATTEMPT = 4
ANSWER = bytes(4_000)
SHORT_ANSWER = bytes(200)
REPEATS = 100

SYNCS_A_RELEASE = 9
MOST_MS_A_RELEASE = 5.0
MOST_MS_AN_ANSWER = 50.0
ANSWERS = ("of it debit", "spent", "left", "reserve_check", "open", "report")

BASE = Spend(
    study="autumn",
    attempt="1",
    release="counts",
    population="training",
    mu=1e-4,
    delta=1e-6,
    what="4 noisy block(s)",
    institution="tax",
    counterparty="hub",
)
CAPS = Caps(per_study=3.0, per_purpose={"credit_scoring": 3.5})


def spend(i: int) -> Spend:
    """The i-th spend: four releases per attempt, a hundred studies."""
    attempt = i // RELEASES_AN_ATTEMPT
    return replace(BASE, study=f"study{attempt % 100}", attempt=str(attempt))


def fill(ledger: Ledger, count: int) -> None:
    """Enter and commit ``count`` spends with the ledger's code, all in one transaction."""
    with ledger._file.transaction() as db:
        for i in range(count):
            ledger._enter(db, f"old{i}", spend(i), "d", "credit_scoring")
            ledger._store(db, f"old{i}", SHORT_ANSWER)


def milliseconds(call: Callable[[int], object], repeats: int = REPEATS) -> float:
    """Median time of a call."""
    times = []
    for i in range(repeats):
        start = time.perf_counter()
        call(i)
        times.append(time.perf_counter() - start)
    return 1000.0 * median(times)


def sync_time(folder: Path) -> float:
    """Median time of writing and syncing 4 KiB: the disk's share."""
    with open(folder / "probe", "wb") as file:

        def write(_: int) -> None:
            os.pwrite(file.fileno(), bytes(4096), 0)
            os.fsync(file.fileno())

        return milliseconds(write)


def measure(path: Path, size: int) -> dict[str, float]:
    """Median milliseconds of each call to a ledger of ``size`` spends."""
    ledger = Ledger(path, CAPS)
    fill(ledger, size)

    def release(i: int) -> None:
        """As a node does it: the ledger is opened for every exchange."""
        node = Ledger(path, CAPS, create=False)
        node.debit(f"r{i}", spend(size + i), "d", purpose="credit_scoring")
        node.answer(f"r{i}")
        node.commit(f"r{i}", ANSWER)

    out = {"release": milliseconds(release)}
    out["of it debit"] = milliseconds(
        lambda i: ledger.debit(f"s{i}", spend(size + 1000 + i), "d", purpose="credit_scoring")
    )
    out["of it commit"] = milliseconds(lambda i: ledger.commit(f"s{i}", ANSWER))
    out["open"] = milliseconds(lambda _: Ledger(path, CAPS, create=False))
    out["spent"] = milliseconds(lambda _: ledger.spent())
    out["left"] = milliseconds(lambda _: ledger.left(study="study1", purpose="credit_scoring"))
    out["reserve_check"] = milliseconds(lambda _: ledger.reserve_check([BASE], purpose="credit_scoring"))
    out["report"] = milliseconds(lambda _: ledger.report(), 5)
    out["audit"] = milliseconds(lambda _: ledger.audit(), 1)
    return out


def main() -> None:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", nargs="?", help="on the disk to measure, for example build; default: a temporary one"
    )
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as name:
        folder = Path(name)
        before = sync_time(folder)
        results = {size: measure(folder / f"{size}.sqlite", size) for size in SIZES}
        sync = min(before, sync_time(folder))
        megabytes = (folder / f"{SIZES[-1]}.sqlite").stat().st_size / 1e6
    print("| median ms | " + " | ".join(f"{size:,} spends" for size in SIZES) + " |")
    print("| --- |" + " --- |" * len(SIZES))
    for row in results[0]:
        print(f"| {row} | " + " | ".join(f"{results[size][row]:.2f}" for size in SIZES) + " |")
    all_syncs = SYNCS_A_RELEASE * sync
    print(f"one synced write of 4 KiB: {sync:.2f} ms, {SYNCS_A_RELEASE} of them: {all_syncs:.2f} ms")
    print(f"file at {SIZES[-1]:,} spends: {megabytes:.0f} MB")
    found = {
        **{str(size): row for size, row in results.items()},
        "syncs_ms": all_syncs,
        "megabytes": megabytes,
        "slowest_answer_ms": max(results[SIZES[-1]][row] for row in ANSWERS),
        "overhead_ms": max(results[size]["release"] for size in SIZES[:2]) - all_syncs,
    }
    Path(__file__).with_name("results.json").write_text(json.dumps(found, indent=1) + "\n")
    for row in ANSWERS:
        if results[SIZES[-1]][row] > MOST_MS_AN_ANSWER:
            sys.exit(f"claim failed: {row} takes more than {MOST_MS_AN_ANSWER:g} ms")
    for size in SIZES[:2]:
        if results[size]["release"] - SYNCS_A_RELEASE * sync > MOST_MS_A_RELEASE:
            sys.exit(
                f"claim failed: a release at {size:,} spends takes {MOST_MS_A_RELEASE:g} ms besides the disk"
            )


if __name__ == "__main__":
    main()
