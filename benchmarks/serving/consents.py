"""What it costs a holder to check consents: ``python benchmarks/serving/consents.py [TOKENS]`` prints JSON.

Microseconds of processor time for a token in questions of a thousand: verified for the first time, with a signature that
is known from before, and its signature alone; best of five rounds.
"""

import argparse
import base64
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fedrisk.elliptic.ed25519 import by_openssl, signed
from fedrisk.privacy.serving_policy import Register, ServingPolicy
from fedrisk.serving.consent import Consents
from sim_institutions.consent_register import ConsentRegister

ROUNDS = 5

ROWS = 1000
"""Tokens of one question."""


def microseconds(work: Callable[[], object], count: int) -> float:
    """Of processor time for one of ``count``, as the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return round(1e6 * best / count, 1)


def main(count: int) -> dict[str, float]:
    """Figures for so many tokens."""
    ids = [f"E{k:08d}" for k in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        register = ConsentRegister(Path(folder) / "register")
        register.give(ids, "bank", "credit_scoring", datetime.now(UTC).date() + timedelta(days=90))
        start = time.process_time()
        tokens = register.tokens(ids, "bank", "credit_scoring")
        made = 1e6 * (time.process_time() - start) / count
        key = register.key
    policy = ServingPolicy(registers=(Register(name="consents", key=key),))
    asked: dict[str, Any] = {"asker": "bank", "purpose": "credit_scoring", "now": time.time()}

    def check(consents: Consents) -> None:
        for start in range(0, count, ROWS):
            page = slice(start, start + ROWS)
            if any(one.code for one in consents.check(tokens[page], ids[page], **asked)):
                raise SystemExit("a token was refused")

    public, split = bytes.fromhex(key), [t.rsplit(".", 1) for t in tokens]
    parts = [(base64.urlsafe_b64decode(s + "=="), text.encode()) for text, s in split]
    # Stands for the book, which takes some two microseconds more for a mark.
    again = Consents(policy, known=set)
    return {
        "tokens": count,
        "verified_us": microseconds(lambda: check(Consents(policy)), count),
        "known_us": microseconds(lambda: check(again), count),
        "signature_alone_us": microseconds(lambda: [signed(public, s, text) for s, text in parts], count),
        "signature_by_openssl_us": microseconds(
            lambda: [by_openssl(public, s, text) for s, text in parts], count
        ),
        "made_by_the_register_us": round(made, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tokens", nargs="?", type=int, default=1000, help="how many, for example 100")
    print(json.dumps(main(parser.parse_args().tokens), indent=1))
