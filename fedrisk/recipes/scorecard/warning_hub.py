"""At the hub: the totals of the evaluation to the banks, which find the threshold of warnings in them by themselves.

Two rounds: each bank is told the totals and signs what it took, and each is told what all of them signed. Only then do
banks use the totals (recipes/scorecard/warning_node). Who is away is asked again another time, as long as the study's
results name it (server/late_warnings).
"""

from collections.abc import Callable, Collection, Mapping

from fedrisk.protocol.payload import Payload
from fedrisk.releases.evaluation import EVALUATION
from fedrisk.releases.record import ReleaseRecord
from fedrisk.server.noisy_sums import blobs_of

PATIENCE = 60.0
"""Seconds that banks have for each of the two rounds; results have the threshold all the same."""

Ask = Callable[[Payload], Mapping[str, Payload]]
"""Tells all banks the same and gives the answers of those that are there."""


def tell_totals(ask: Ask, record: ReleaseRecord, banks: Collection[str]) -> tuple[str, ...]:
    """Tell every bank the totals of the evaluation, which are in the release record, and then who signed them.

    Nothing is released for it. Banks that have no threshold afterwards: all of them where one is away or refuses.
    """
    totals = blobs_of(record.release(EVALUATION))
    signed: dict[str, str] = {}
    # One bank alone has nobody to wait for.
    for _ in range(2 if len(banks) > 1 else 1):
        answers = ask(Payload({"signed": dict(signed)}, totals))
        good = {n: a for n, a in answers.items() if n in banks and a.refusal is None}
        signed = {name: str(answer.body.get("signature")) for name, answer in good.items()}
        kept = {name for name, answer in good.items() if answer.body.get("kept") is True}
        if set(signed) != set(banks):
            break
    return tuple(sorted(set(banks) - kept))
