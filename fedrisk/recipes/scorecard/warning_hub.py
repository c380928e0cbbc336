"""At the hub: the totals of the evaluation to the banks, which find the threshold of warnings in them by themselves."""

from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard.warning_node import NAME
from fedrisk.releases.evaluation import EVALUATION
from fedrisk.server.noisy_sums import NoisySums, blobs_of

PATIENCE = 60.0
"""Seconds that banks have to take the totals; who is not there serves without a threshold, and results have it."""


def tell_totals(sums: NoisySums) -> None:
    """Tell every bank the totals of the evaluation, which are in the release record; nothing is released for it."""
    totals = blobs_of(sums.record.release(EVALUATION))
    banks = sums.roster.study.banks
    sums.exchange.afterwards(NAME, timeout=PATIENCE, told=Payload({}, totals), only=banks)
