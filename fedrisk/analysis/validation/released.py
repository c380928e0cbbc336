"""What a validation stands on, from a study's release record and its scorecard alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.past_studies import past_study
from fedrisk.analysis.score_counts import counts_of
from fedrisk.analysis.validation.evidence import Evidence, card_errors, development_counts, shares_of
from fedrisk.errors import ConfigError
from fedrisk.models.calibration_errors import CalibrationErrors
from fedrisk.models.scorecard import Scorecard
from fedrisk.releases.record import ReleaseRecord

Floats = NDArray[np.float64]


def released_evidence(record: ReleaseRecord, card: Scorecard | None, bank: str | None = None) -> Evidence:
    """Evidence of a scorecard or network study for its operator, or for anybody with its record.

    bank: one bank's hold-out, where the study releases it by bank. ConfigError where the study was not evaluated, or
    has no probabilities.
    """
    now = counts_of(record, card, bank)
    if now is None:
        raise ConfigError(
            f"study {record.study.get('name')} released no evaluation of its hold-out, so nothing can be validated on "
            "released numbers; a bank can on its own rows: fedrisk report validation INSTITUTION.toml"
        )
    if now.probability is None:
        raise ConfigError(
            "the scores of this study mean nothing without its scorecard.json; keep it beside the record"
        )
    histogram = None if card is None else calibration_histogram(record)
    return Evidence(
        model="shared",
        sample=sample_of(record.study),
        now=now,
        before=None if histogram is None or card is None else development_counts(card, *histogram),
        card=card,
        calibration=errors_of(record, card),
        bin_shares=_shares(record, card),
        facts={
            "study": str(record.study.get("name", "")),
            "attempt": record.attempt,
            "record": record.digest(),
            "research": record.research,
            "banks": [m["name"] for m in record.study["institutions"] if m["role"] == "bank"],
            "epsilon": _privacy(record.study),
        },
    )


def errors_of(record: ReleaseRecord, card: Scorecard | None) -> CalibrationErrors | None:
    """Errors of a card's calibration from a record; None where either is not there."""
    histogram = calibration_histogram(record)
    return None if card is None or histogram is None else card_errors(card, *histogram)


def calibration_histogram(record: ReleaseRecord) -> tuple[Floats, Floats, float] | None:
    """Of the calibration histogram, where there is one: inner score edges, noisy counts (k, 2), noise variance."""
    released = record.find("calibration")
    if released is None or "score_edges" not in released.about:
        return None
    total = np.sum([b.total for b in released.blocks], axis=0)
    return (
        np.asarray(released.about["score_edges"], float),
        total,
        sum(float(b.variance or 0) for b in released.blocks),
    )


def sample_of(study: Any) -> str:
    """Code of how a study held out."""
    kind = dict(study.get("holdout") or {}).get("kind", "random")
    return "out_of_time" if kind == "out_of_time" else "holdout"


def _privacy(study: Any) -> float | None:
    value = dict(study.get("privacy") or {}).get("epsilon")
    return None if value is None else float(value)


def _shares(record: ReleaseRecord, card: Scorecard | None) -> dict[int, Floats]:
    """Shares of training rows by bin of each feature of the card; none where the study is no scorecard's."""
    if card is None or record.find("counts") is None:
        return {}
    past = past_study(record, "")
    return shares_of(card, past.bins, past.counts)
