"""What it costs a holder to check consents: ``python benchmarks/serving/consents.py [TOKENS]`` prints JSON.

Microseconds of processor time for a token: verified for the first time, found again, and its signature alone; best of
five rounds.
"""

import argparse
import base64
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedrisk.privacy.serving_policy import Register, ServingPolicy
from fedrisk.serving.consent import Consents
from sim_institutions.consent_register import ConsentRegister

ROUNDS = 5


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
    asked = {"asker": "bank", "purpose": "credit_scoring", "now": time.time()}

    def check(consents: Consents) -> None:
        if any(consents.check(t, enterprise=e, **asked).code for e, t in zip(ids, tokens, strict=True)):
            raise SystemExit("a token was refused")

    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
    parts = [t.rsplit(".", 1) for t in tokens]
    signed = [(base64.urlsafe_b64decode(s + "=="), text.encode()) for text, s in parts]
    warm = Consents(policy)
    check(warm)
    return {
        "tokens": count,
        "verified_us": microseconds(lambda: check(Consents(policy)), count),
        "found_again_us": microseconds(lambda: check(warm), count),
        "signature_alone_us": microseconds(lambda: [public.verify(s, text) for s, text in signed], count),
        "made_by_the_register_us": round(made, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tokens", nargs="?", type=int, default=1000, help="how many, for example 100")
    print(json.dumps(main(parser.parse_args().tokens), indent=1))
