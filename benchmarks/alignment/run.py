"""How long the alignment of a bank with a data holder takes on a small server with two processors.

Run it on an idle machine: ``python benchmarks/alignment/run.py``. It prints JSON, writes ``results.json``
next to this file, and exits with status 1 if a claim does not hold. With an argument, as in ``run.py 0.1``,
it runs that fraction of the full size and does not check the claims in seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from probes import bare_calls, worker_time

from fedrisk.alignment import ids, matching, oprf

BANK, HOLDER, COMMON = 100_000, 1_000_000, 80_000
WORKERS = 2
SEED = 20250101
# Bare calls per worker that measure the machine's speed before and after each step.
PROBE = 4_000

# Claims: seconds at most, and the least share of the processor time that bare libsodium calls need; that in steps
# without proofs, whose sums are not libsodium's (see verifiable.py for them).
LIMITS = {"holder is key authority": 40.0, "third party is key authority": 90.0}
LEAST_EFFICIENCY = 0.80
WITHOUT_PROOFS = ("bank blinds", "holder with the key", "holder blinds")


def codes(n: int, start: int) -> list[str]:
    """Valid unified social credit codes, made up."""
    body = ["91" + f"{start + i:015d}" for i in range(n)]
    return [b + ids.uscc_check_character(b) for b in body]


def probe(pool: Executor) -> np.ndarray:
    """Mean of ``bare_calls`` over the workers, all busy at the same time."""
    return np.mean(list(pool.map(bare_calls, [PROBE] * WORKERS)), axis=0)


def processor_time(pool: Executor) -> float:
    """Processor seconds that all workers have used so far, without the time that they waited."""
    seen: dict[int, float] = {}
    while len(seen) < WORKERS:
        seen = dict(pool.map(worker_time, range(WORKERS)))
    return sum(seen.values())


class Clock:
    """Wall-clock and processor seconds of each step, and the seconds that bare libsodium would have needed.

    The bare calls are timed in processor time as well, right before and right after the step.
    """

    def __init__(self, pool: Executor) -> None:
        self.pool, self.speed = pool, probe(pool)
        self.seconds: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self.bare: dict[str, float] = {}

    def run(self, name: str, n: int, hashes: int, products: int, step: Callable[[], Any]) -> Any:
        """Time ``step`` over ``n`` ids, each of which takes so many hashes and products."""
        used, start = processor_time(self.pool), time.perf_counter()
        out = step()
        self.seconds[name] = time.perf_counter() - start
        self.processor[name] = processor_time(self.pool) - used
        before, self.speed = self.speed, probe(self.pool)
        self.bare[name] = n * float((before + self.speed) / 2 @ [hashes, products])
        print(
            f"{name}: {self.seconds[name]:.1f} s, processor {self.processor[name]:.1f} s, "
            f"bare {self.bare[name]:.1f} s, load {os.getloadavg()[0]:.1f}",
            file=sys.stderr,
            flush=True,
        )
        return out


@dataclass(frozen=True)
class Timed:
    """What the steps took, and the pseudonyms that they made.

    of_holder: by the holder with the key. again: the same, by the way of a third party.
    """

    clock: Clock
    start_up: float
    of_bank: np.ndarray
    of_holder: np.ndarray
    again: np.ndarray


def run_steps(bank: list[bytes], holder: list[bytes]) -> Timed:
    """Every step of both settings."""
    key = oprf.derive_key(SEED.to_bytes(32, "big"), b"benchmark")
    public = oprf.public_key(key)
    n, m = len(bank), len(holder)
    start = time.perf_counter()
    with oprf.workers(WORKERS) as pool:
        probe(pool)
        start_up = time.perf_counter() - start
        clock = Clock(pool)
        blinds, points = clock.run("bank blinds", n, 1, 1, lambda: oprf.blind(bank, pool=pool))
        answer = clock.run("bank evaluated", n, 0, 1, lambda: oprf.evaluate(points, key, pool=pool))
        of_bank = clock.run(
            "bank finalises", n, 0, 1, lambda: oprf.finalise(bank, blinds, points, *answer, public, pool=pool)
        )
        of_holder = clock.run("holder with the key", m, 1, 1, lambda: oprf.pseudonyms(holder, key, pool=pool))
        blinds, points = clock.run("holder blinds", m, 1, 1, lambda: oprf.blind(holder, pool=pool))
        answer = clock.run("holder evaluated", m, 0, 1, lambda: oprf.evaluate(points, key, pool=pool))
        again = clock.run(
            "holder finalises",
            m,
            0,
            1,
            lambda: oprf.finalise(holder, blinds, points, *answer, public, pool=pool),
        )
    return Timed(clock, start_up, of_bank, of_holder, again)


def total_seconds(clock: Clock, match_seconds: float) -> dict[str, float]:
    """Seconds of the whole alignment in each of the two settings."""
    bank_steps = [s for s in clock.seconds if s.startswith("bank")]
    with_key = [*bank_steps, "holder with the key"]
    third = [*bank_steps, "holder blinds", "holder evaluated", "holder finalises"]
    return {
        name: match_seconds + sum(clock.seconds[s] for s in steps)
        for name, steps in (("holder is key authority", with_key), ("third party is key authority", third))
    }


def main(fraction: float) -> int:
    """Run, write the results, and check the claims."""
    bank_size, holder_size, common = (round(x * fraction) for x in (BANK, HOLDER, COMMON))
    load = os.getloadavg()[0]
    holder_codes = codes(holder_size, 0)
    bank_codes = codes(bank_size, holder_size - common)
    start = time.perf_counter()
    spelt, refused = ids.normalise(holder_codes, "uscc")
    normalise_seconds = time.perf_counter() - start
    holder, bank = ([c.encode() for c in x] for x in (spelt, bank_codes))
    timed = run_steps(bank, holder)
    clock = timed.clock

    start = time.perf_counter()
    found = matching.match(
        {"bank": timed.of_bank},
        {"holder": timed.of_holder},
        holdout_key=b"h" * 32,
        draw_key=b"d" * 32,
        holdout_percent=30,
        inclusion_probability=0.8,
    )
    match_seconds = time.perf_counter() - start
    totals = total_seconds(clock, match_seconds)
    efficiency = sum(clock.bare[s] for s in WITHOUT_PROOFS) / sum(clock.processor[s] for s in WITHOUT_PROOFS)
    same = bool(np.array_equal(timed.of_holder, timed.again)) and not refused.any()
    claims = {
        "both ways give the same pseudonyms": same,
        "all common enterprises are found": matching.overlaps(found)["bank"]["holder"] == common,
        f"at least {LEAST_EFFICIENCY:.0%} of the processor time without proofs is libsodium's": efficiency
        >= LEAST_EFFICIENCY,
    }
    # The claims in seconds are about the full size only.
    if fraction == 1:
        for name, most in LIMITS.items():
            claims[f"{name}: at most {most:.0f} s"] = totals[name] <= most
    results = {
        "bank": bank_size,
        "holder": holder_size,
        "workers": WORKERS,
        "load average at start and end": [round(load, 2), round(os.getloadavg()[0], 2)],
        **seconds_of(timed, normalise_seconds, match_seconds),
        "total seconds": {k: round(v, 1) for k, v in totals.items()},
        "efficiency": round(efficiency, 3),
        "claims": {k: bool(v) for k, v in claims.items()},
    }
    text = json.dumps(results, indent=2)
    Path(__file__).with_name("results.json").write_text(text + "\n")
    print(text)
    return 0 if all(claims.values()) else 1


def seconds_of(timed: Timed, normalise_seconds: float, match_seconds: float) -> dict[str, Any]:
    """The steps' seconds, as they go into ``results.json``."""
    clock = timed.clock
    bare = [round(x * 1e6, 1) for x in clock.speed]
    return {
        "seconds": {k: round(v, 2) for k, v in clock.seconds.items()}
        | {"normalise the holder's ids": round(normalise_seconds, 2), "match": round(match_seconds, 2)}
        | {"start of the workers": round(timed.start_up, 2)},
        "processor seconds": {k: round(v, 2) for k, v in clock.processor.items()},
        "processor seconds of bare libsodium": {k: round(v, 2) for k, v in clock.bare.items()},
        "processor microseconds of a bare hash and product at the end": bare,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "fraction",
        nargs="?",
        type=float,
        default=1.0,
        help="of the full size, for example 0.01; claims in seconds are about all of it",
    )
    sys.exit(main(parser.parse_args().fraction))
