"""Planning figures of a prepared study: from what its file states, never counted from rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedrisk.lab.data_set_rules import DataSetFile
from fedrisk.lab.parties import PartyTable


def expected_of(
    rules: DataSetFile, base: Mapping[str, Any], banks: Sequence[str], parties: Sequence[PartyTable]
) -> dict[str, Any]:
    """``[expected]`` of a study: default rate and enterprises after sampling, thinning and leaving banks out.

    base: what the study file stated before. banks: names of all banks of which the stated figures are; those among
    ``parties`` take part, each with its stated share of the enterprises, or an equal one.
    """
    stated = dict(base)
    if rules.expected is not None:
        stated |= rules.expected.model_dump(exclude_none=True)
    rate, number = stated.get("default_rate"), stated.get("enterprises")
    if number is not None:
        if rules.sample is not None:
            number = min(number, rules.sample.enterprises)
        if rules.thin is not None and rate is not None:
            positives = rules.thin.positives or rate * number
            negatives = rules.thin.negatives or (1 - rate) * number
            number, rate = positives + negatives, positives / (positives + negatives)
        stated["enterprises"] = max(1, round(number * _kept_share(rules, banks, parties)))
    if rate is not None:
        stated["default_rate"] = float(f"{rate:.4g}")
    holders = [p.name for p in parties if not p.is_bank]
    if rules.knows and holders and "known" not in stated:
        stated["known"] = float(f"{sum(rules.knows.get(h, 1.0) for h in holders) / len(holders):.4g}")
    return stated


def _kept_share(rules: DataSetFile, banks: Sequence[str], parties: Sequence[PartyTable]) -> float:
    """Share of the enterprises that the banks which take part have, by stated numbers."""
    weights = {name: float(p.enterprises or p.share or 1.0) for p in rules.parties for name in p.names}
    kept = sum(weights.get(p.name, 1.0) for p in parties if p.is_bank)
    return kept / sum(weights.get(name, 1.0) for name in banks)
