"""What the audit trail costs: the time of an append, and of checking a long trail. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from fedrisk.audit.crosscheck import disclosures
from fedrisk.audit.log import AuditLog
from fedrisk.audit.usage import usage_rows
from fedrisk.audit.verify import read, verify
from fedrisk.privacy.spend import Spend
from fedrisk.secure.identity import IdentityKey

# Appends that are timed, each forced to the disk, and the entries of each: request, release, answer.
APPENDS = 1000
BATCH = 3
# Length of the trail that is checked, and entries per append while it is made.
ENTRIES = 100_000
LONG_BATCH = 4
# Claims: median of an append, with fsync, and the time of verifying the long trail.
MAX_APPEND_MS = 5.0
MAX_VERIFY_S = 5.0


def drafts(number: int, count: int) -> list[dict[str, object]]:
    """The entries of one release."""
    attempt = f"{number // 20:016x}"
    spend = Spend(
        study="pilot",
        attempt=attempt,
        release=f"release {number % 20}",
        population="training",
        mu=0.1,
        delta=1e-6,
        what="3 noisy block(s)",
        institution="tax",
        counterparty="hub",
    )
    base = {"study": "pilot", "attempt": attempt, "purpose": "credit", "action": "release"}
    common = {**base, "counterparty": "hub", "digest": f"{number:064x}", "bytes": 4096}
    release = {
        **common,
        "event": "release",
        "kind": "noisy_sums.counts",
        "protection": "discrete_gaussian_masked",
        "spend": spend.to_dict(),
    }
    every = [{**common, "event": "request"}, release, {**common, "event": "answer"}]
    return [every[i % 3] for i in range(count)]


def append_times(path: Path, key: IdentityKey) -> list[float]:
    """Milliseconds of each append, forced to the disk."""
    log = AuditLog(path, key, "tax")
    took = []
    for number in range(APPENDS):
        begin = time.perf_counter()
        log.append(drafts(number, BATCH))
        took.append(1000 * (time.perf_counter() - begin))
    return took


def long_trail(path: Path, key: IdentityKey) -> AuditLog:
    """A trail of ENTRIES entries; while it is made, and only then, nothing is forced to the disk."""
    real, os.fsync = os.fsync, lambda handle: None
    log = AuditLog(path, key, "tax")
    for number in range(ENTRIES // LONG_BATCH):
        log.append(drafts(number, LONG_BATCH))
    os.fsync = real
    return log


def main() -> None:
    """Measure, write the results, and check the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="a folder on the disk to measure; default: a temporary one"
    )
    folder = parser.parse_args().folder
    key = IdentityKey.generate()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        took = append_times(Path(name) / "appends.jsonl", key)
        long = Path(name) / "long.jsonl"
        log = long_trail(long, key)
        size = long.stat().st_size
        begin = time.perf_counter()
        checked = verify(long, key.public, [log.signed_head()])
        verify_s = time.perf_counter() - begin
        entries = list(read(long))
        begin = time.perf_counter()
        usage_rows(entries)
        disclosures(entries, entries[-1].attempt)
        sums_s = time.perf_counter() - begin
        begin = time.perf_counter()
        AuditLog(long, key, "tax")
        open_ms = 1000 * (time.perf_counter() - begin)
    results = {
        "append_ms": {
            "median": round(statistics.median(took), 3),
            "p95": round(statistics.quantiles(took, n=20)[18], 3),
            "p99": round(statistics.quantiles(took, n=100)[98], 3),
            "entries": BATCH,
        },
        "verify_s": round(verify_s, 3),
        "entries": checked.entries,
        "bytes_an_entry": round(size / checked.entries),
        "open_ms": round(open_ms, 3),
        "meter_and_disclosures_s": round(sums_s, 3),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "load": os.getloadavg(),
    }
    print(json.dumps(results, indent=2))
    Path(__file__).with_name("results.json").write_text(json.dumps(results, indent=2) + "\n")
    if not checked.ok or checked.entries != ENTRIES:
        raise SystemExit(f"the long trail does not verify: {checked.why}")
    if statistics.median(took) > MAX_APPEND_MS or verify_s > MAX_VERIFY_S:
        raise SystemExit("the claim does not hold")


if __name__ == "__main__":
    main()
