"""Results of a study: the figures that may be published, and the files in which they stand."""

import json
import math
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError, StoreError
from fedrisk.metrics import Metrics, auc_standard_error, calibration_from_histogram, from_histogram
from fedrisk.models.plan import budget, expected_gain, total_mu
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.accounting import readings
from fedrisk.server.exchange import Exchange
from fedrisk.server.roster import Roster
from fedrisk.server.scorecard import Released
from fedrisk.server.training import Trained
from fedrisk.study import BANK, NO_PRIVACY

Counts = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Results:
    """metrics: everything of metrics.json. card: the scorecard, where the recipe makes one; network: the trained
    network or encoder with its design, as the bytes of a ``.npz`` file."""

    metrics: dict[str, Any]
    card: Scorecard | None
    network: bytes | None = None

    def save(self, folder: Path) -> None:
        """Write metrics.json and scorecard.json or network.npz; StoreError names the folder."""
        prepare(folder)
        try:
            (folder / "metrics.json").write_text(json.dumps(self.metrics, indent=1, allow_nan=False) + "\n")
            if self.card is not None:
                (folder / "scorecard.json").write_text(self.card.to_json() + "\n")
            if self.network is not None:
                (folder / "network.npz").write_bytes(self.network)
        except OSError as error:
            raise _unwritable(folder, error) from None

    @classmethod
    def load(cls, folder: Path) -> "Results":
        """Read back what :meth:`save` wrote; ConfigError where it is not there or malformed."""
        try:
            metrics = json.loads((folder / "metrics.json").read_text())
            if metrics.get("recipe", "scorecard") != "scorecard":
                return cls(metrics, None, (folder / "network.npz").read_bytes())
            return cls(metrics, Scorecard.from_json((folder / "scorecard.json").read_text()))
        except FileNotFoundError as error:
            raise ConfigError(
                f"{error.filename} does not exist; name the --out folder of a finished run"
            ) from None
        except (ValueError, OSError):
            raise ConfigError(f"the results in {folder} cannot be read; run the study anew") from None


def prepare(folder: Path) -> None:
    """Make the folder for results and try to write there: better before a study is paid for than after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".fedrisk-writable"
        probe.write_text("x" * 65536)
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"results cannot be written to {folder}: {error.strerror}; check the path, permissions and space"
    )


def summarise(
    exchange: Exchange, roster: Roster, released: Released | Trained, *, engine: str, seconds: float
) -> Results:
    """All figures of a run. Outside research runs every one comes from the private evaluation histogram."""
    study, research = roster.study, roster.research_seed is not None
    privacy, mu = study.privacy, total_mu(study)
    by_bank = _by_bank(roster, released)
    total = _sum(released.evaluation)
    overall = None if total is None else from_histogram(*total)
    metrics: dict[str, Any] = {
        "study": study.name,
        "recipe": study.recipe,
        "digest": study.digest(),
        "attempt": exchange.attempt,
        "engine": engine,
        "research": research,
        "notice": NO_PRIVACY if research else None,
        "research_seed": roster.research_seed,
        "seconds": round(seconds, 2),
        "exchanges": exchange.exchanges,
        "rows": {
            "training": roster.training,
            "holdout": roster.holdout,
            "overlap": _overlap(roster) if research else None,
        },
        "epsilon": None if research else privacy.epsilon,
        "nominal_epsilon": _finite(privacy.epsilon),
        "delta": privacy.delta,
        "mu": None if research else mu,
        "readings": None if research else vars(readings(mu, privacy.delta)),
        "spends": released.spends,
        "branch": released.branch,
        "default_rate": None if released.card is None else released.card.rate,
        "expectation": None if released.card is None else _expectation(roster, released.card),
        "training": getattr(released, "training", None),
        **_figures(overall),
        "auc_standard_error": _standard_error(total, released),
        "calibration": None if total is None else _calibration(total),
        "by_bank": by_bank,
        "bank_alone_auc": _mean(released, "bank_alone_auc"),
        "bank_champion_auc": _mean(released, "bank_champion_auc"),
        "bank_personal_auc": _mean(released, "bank_personal_auc"),
        "bytes_sent": exchange.sent,
        "bytes_received": exchange.received,
        "peak_mb": round(peak_mb(), 1),
        "institutions": _institutions(roster),
    }
    return Results(_clean(metrics), released.card, getattr(released, "network", None))


def _calibration(counts: Counts) -> list[dict[str, float]]:
    """Observed against predicted default rate in at most 24 groups of the hold-out, empty ones left out."""
    n1, n0, probability = counts
    n = n1 + n0
    if len(n) > 24:  # exact counts by score: about equally large groups in order of risk
        group = np.minimum((np.cumsum(np.maximum(n, 0)) / max(n.sum(), 1) * 24).astype(int), 23)
        expected = np.bincount(group, n * probability, 24)
        n1, n0 = np.bincount(group, n1, 24).astype(float), np.bincount(group, n0, 24).astype(float)
        probability = expected / np.maximum(n1 + n0, 1)
    rows = [vars(r) for r in calibration_from_histogram(n1, n0, probability)]
    return [r for r in rows if all(math.isfinite(v) for v in r.values())]


def _expectation(roster: Roster, card: Scorecard) -> str:
    """Whether so many positives suffice for a gain at this epsilon, from the released rate."""
    positives = card.rate * sum(roster.training.values())
    mus = budget(roster.study, edges=any(f.private_edges for f in roster.features))
    return expected_gain(positives, mus["counts"], len(roster.features))[1]


def peak_mb() -> float:
    """Greatest memory of this process so far plus that of its largest finished child, in MB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def _figures(metrics: Metrics | None) -> dict[str, float | None]:
    names = ("auc", "ks", "gini", "brier")
    return {n: None if metrics is None else float(getattr(metrics, n)) for n in names}


def _sum(evaluation: Mapping[str, Counts]) -> Counts | None:
    """Histograms of several banks as one; exact ones stand on different scores and are laid end to end by risk."""
    if not evaluation:
        return None
    parts = [counts for counts in evaluation.values() if _usable(counts)]
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    risk = np.unique(np.concatenate([p for _, _, p in parts]))
    n1, n0 = np.zeros(len(risk)), np.zeros(len(risk))
    for positives, negatives, probability in parts:
        place = np.searchsorted(risk, probability)
        n1[place] += positives
        n0[place] += negatives
    return n1, n0, risk


def _usable(counts: Counts) -> bool:
    return bool(counts[0].sum() > 0 and counts[1].sum() > 0)


def _by_bank(roster: Roster, released: Released | Trained) -> dict[str, Any] | None:
    if roster.research_seed is None and not roster.study.evaluation.by_bank:
        return None
    table: dict[str, Any] = {}
    for bank, counts in released.evaluation.items():
        if bank == BANK and bank not in roster.study.banks:
            continue
        if not _usable(counts):  # no default or no other in the hold-out
            continue
        own = released.figures.get(bank, {})
        table[bank] = {
            **_figures(from_histogram(*counts)),
            "alone_auc": own.get("bank_alone_auc"),
            "champion_auc": own.get("bank_champion_auc"),
            "personal_auc": own.get("bank_personal_auc"),
            "holdout": roster.holdout[bank],
        }
    return table or None


def _mean(released: Released | Trained, name: str) -> float | None:
    values = [f[name] for f in released.figures.values() if f.get(name) is not None]
    return float(np.mean([v for v in values if v is not None])) if values else None


def _standard_error(total: Counts | None, released: Released | Trained) -> float | None:
    variance = released.variance * len(released.evaluation)  # noise of all histograms that were added up
    return None if total is None else float(auc_standard_error(total[0], total[1], variance))


def _overlap(roster: Roster) -> dict[str, int]:
    """Enterprises that a holder has in common with the banks. Exact, so for research runs alone: from two studies
    that differ by one customer it tells whether the holder knows it."""
    return {
        holder: sum(
            int(((rows.holders[holder] >= 0) & (rows.use < 2)).sum()) for rows in roster.lists.values()
        )
        for holder in roster.study.holders
        if holder not in roster.lists  # who trains has rows of its own, and none in common
    }


def _institutions(roster: Roster) -> dict[str, Any]:
    out = {}
    for name in roster.study.members:
        told = roster.agreed[name].body
        out[name] = {k: told.get(k) for k in ("role", "rows", "label", "scores", "budget_left", "meanings")}
    return out


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _clean(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become null."""
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return _finite(float(value))
    return value
