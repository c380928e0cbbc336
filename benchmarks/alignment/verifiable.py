"""What the proofs of RFC 9497's verifiable mode cost for each id, against the same steps without them.

``python benchmarks/alignment/verifiable.py`` prints JSON, writes ``verifiable.json`` next to this file, and exits
with status 1 if a claim does not hold. All steps run in this process, in turns on parts of the list, and are timed
in processor time, so that other work on the machine distorts all of them alike. The argument, as in
``verifiable.py 5000``, is another number of ids.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from fedrisk.alignment import dleq, multiscalar, oprf, ristretto

PART = oprf.TERMS
IDS = 3 * PART

# Claims: the whole of blinding to finalising takes at most so many times as long with proofs, and sums in buckets at
# most so much of the time that libsodium takes product by product.
MOST, BUCKETS_AT_MOST = 1.9, 0.75


def part_of(ids: list[bytes], key: bytes, seconds: Counter[str]) -> bool:
    """All steps over some ids, their processor seconds added to ``seconds``; whether the outcome is right."""

    def run(name: str, step: Callable[[], Any]) -> Any:
        start = time.process_time()
        out = step()
        seconds[name] += time.process_time() - start
        return out

    public = oprf.public_key(key)
    seed = dleq.seed_of(public)
    blinds, points = run("blind", lambda: oprf.blind(ids))
    evaluated = run("evaluate", lambda: ristretto.evaluate_chunk(points, key))

    def prove() -> bytes:
        return dleq.prove(key, dleq.fold_blinded(seed, 0, points, evaluated))

    proof = run("prove", prove)
    run("verify", lambda: oprf.verify(points, evaluated, proof, public))
    found = run("finalise", lambda: ristretto.blind_pseudonyms(ids, blinds, evaluated))
    with mock.patch.object(multiscalar, "_curve", return_value=None):
        run("prove, libsodium alone", prove)
        run("verify, libsodium alone", lambda: oprf.verify(points, evaluated, proof, public))
    own = run("with the key", lambda: oprf.pseudonyms(ids, key))
    return bool(np.array_equal(np.frombuffer(found, np.uint8).reshape(-1, 32), own))


def main(count: int) -> int:
    """Run, write the results, and check the claims."""
    ids = [b"91%016d" % i for i in range(count)]
    key, seconds = oprf.new_key(), Counter[str]()
    # First use of the libraries.
    part_of(ids[:100], key, Counter())
    outcomes = [part_of(ids[i : i + PART], key, seconds) for i in range(0, count, PART)]
    each = {name: 1e6 * spent / count for name, spent in seconds.items()}
    base = sum(each[name] for name in ("blind", "evaluate", "finalise"))
    proofs = each["prove"] + each["verify"]
    plain = each["prove, libsodium alone"] + each["verify, libsodium alone"]
    claims = {
        "pseudonyms are those that the authority computes itself": all(outcomes),
        f"with proofs at most {MOST} times as long": base + proofs <= MOST * base,
        f"proofs at most {BUCKETS_AT_MOST} of what libsodium takes for them": proofs
        <= BUCKETS_AT_MOST * plain,
    }
    results = {
        "ids": count,
        "load average": round(os.getloadavg()[0], 2),
        "processor microseconds for each id": {name: round(value, 1) for name, value in each.items()},
        "base mode, blind to finalise": round(base, 1),
        "verifiable mode, blind to finalise": round(base + proofs, 1),
        "ratio": round((base + proofs) / base, 2),
        "ratio with libsodium alone": round((base + plain) / base, 2),
        "claims": claims,
    }
    text = json.dumps(results, indent=2)
    Path(__file__).with_name("verifiable.json").write_text(text + "\n")
    print(text)
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ids", nargs="?", type=int, default=IDS, help="how many, for example 10000")
    sys.exit(main(parser.parse_args().ids))
