"""Results of a study: the figures that may be published, and the files in which they stand."""

import json
import math
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import write_atomic
from fedrisk.findings import Finding
from fedrisk.metrics import CalibrationFit, Metrics, auc_standard_error, calibration_fit, from_histogram
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.accounting import EpsilonByRelation, epsilon_by_relation
from fedrisk.recipe import Section
from fedrisk.releases.budget import total_mu
from fedrisk.releases.record import FILE as RECORD_FILE
from fedrisk.releases.record import ReleaseRecord
from fedrisk.server.outcome import Counts, HubSession, Outcome, TrainingFigures
from fedrisk.server.roster import Roster
from fedrisk.study import BANK, NO_PRIVACY

METRICS, CARD_FILE, NETWORK_FILE = "metrics.json", "scorecard.json", "network.npz"

CALIBRATION_GROUPS = 12
"""Most groups of the hold-out whose default rate is shown beside the predicted one."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Enterprises by bank.

    training, holdout: with a label; where customers have none, about so many, since nobody but the bank knows who they
    are. unlabelled: customers without a label, scored like the others and otherwise left alone; empty where all have
    one. overlap: those that a holder has in common with the banks, in research runs only.
    """

    training: dict[str, int]
    holdout: dict[str, int]
    overlap: dict[str, int] | None = None
    unlabelled: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Quality of scores on a hold-out; None where nothing may be said."""

    auc: float | None = None
    ks: float | None = None
    gini: float | None = None
    brier: float | None = None


@dataclass(frozen=True, kw_only=True)
class BankFigures(Figures):
    """The same at one bank, and AUC of the models that it fits for itself (research runs only)."""

    holdout: int
    alone_auc: float | None = None
    champion_auc: float | None = None
    personal_auc: float | None = None


@dataclass(frozen=True, kw_only=True)
class CalibrationGroup:
    """One group of the hold-out: mean predicted and observed default rate, and size.

    error: standard error of the observed rate, with that of the noise; None in results of earlier versions.
    """

    predicted: float
    observed: float
    count: float
    error: float | None = None


@dataclass(frozen=True, kw_only=True)
class InstitutionFacts:
    """What an institution said of itself when it agreed.

    budget_left: epsilon left to it at the study's delta, ``before`` the study and ``after`` it, rounded down to tenths.
    """

    role: str
    rows: int
    label: dict[str, Any] | None = None
    scores: str | None = None
    budget_left: dict[str, float] | None = None
    meanings: dict[str, dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class DisclosureLine:
    """What one institution let another, or the hub, see of one kind; codes, price (None is no privacy), bytes."""

    institution: str
    counterparty: str
    kind: str
    protection: str
    mu: float | None
    bytes: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Another model on the same rows at the same epsilon, or why it failed."""

    model: str
    auc: float | None = None
    ks: float | None = None
    brier: float | None = None
    auc_standard_error: float | None = None
    exchanges: int = 0
    seconds: float = 0.0
    same_rows: bool = True
    failed: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyFigures:
    """All figures of a run: what metrics.json holds.

    Outside research runs every figure comes from the private evaluation histogram. evaluated: whether the recipe has a
    model whose scores can be evaluated. display_names: what people read in place of names, where the study says so.
    """

    study: str
    recipe: str
    digest: str
    attempt: str
    engine: str
    research: bool
    notice: str | None
    research_seed: int | None
    seconds: float
    exchanges: int
    rows: Rows
    epsilon: float | None
    nominal_epsilon: float | None
    delta: float
    mu: float | None
    epsilon_by_relation: EpsilonByRelation | None
    spends: tuple[dict[str, Any], ...]
    second_release: str | None
    default_rate: float | None
    expectation: Finding | None
    verdict: tuple[Finding, ...] = ()
    training: TrainingFigures | None
    auc: float | None
    ks: float | None
    gini: float | None
    brier: float | None
    auc_standard_error: float | None
    calibration: tuple[CalibrationGroup, ...] | None
    by_bank: dict[str, BankFigures] | None
    bank_alone_auc: float | None
    bank_champion_auc: float | None
    bank_personal_auc: float | None
    bytes_sent: dict[str, int]
    bytes_received: dict[str, int]
    peak_mb: float
    institutions: dict[str, InstitutionFacts]
    display_names: dict[str, str] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    left_out: tuple[str, ...] = ()
    disclosures: tuple[DisclosureLine, ...] = ()
    disagreements: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    evaluated: bool = True
    calibration_fit: CalibrationFit | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything of metrics.json: JSON has no infinity and no NaN, they become null."""
        figures = {f.name: getattr(self, f.name) for f in fields(StudyFigures)}
        plain: dict[str, Any] = _clean(_adapter().dump_python(StudyFigures(**figures)))
        return plain


@dataclass(frozen=True, kw_only=True)
class Results(StudyFigures):
    """The figures of a run with the model and the record of what was released.

    card: the scorecard, where the recipe makes one; network: the trained network or encoder with its design, as the
    bytes of a ``.npz`` file.
    """

    card: Scorecard | None = field(default=None, repr=False)
    network: bytes | None = field(default=None, repr=False)
    record: ReleaseRecord | None = field(default=None, repr=False)

    @property
    def model_file(self) -> str:
        """Name of the file in which the model is saved."""
        return CARD_FILE if self.card is not None else NETWORK_FILE

    def with_finding(self, finding: Finding) -> "Results":
        """The results with one finding more."""
        return replace(self, findings=(*self.findings, finding))

    def save(self, folder: Path, *, private: bool = False) -> None:
        """Write metrics.json, the model and the release record; StoreError names the folder.

        private: for their owner alone, whatever the umask says; the release record always is.
        """
        make_writable(folder)
        metrics = json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"
        content: dict[str, bytes | None] = {
            CARD_FILE: None if self.card is None else (self.card.to_json() + "\n").encode(),
            NETWORK_FILE: self.network,
            RECORD_FILE: None if self.record is None else self.record.to_bytes(),
            # Last: a folder that has it has everything.
            METRICS: metrics.encode(),
        }
        try:
            for name, file in content.items():
                if file is None:
                    # Of another run, which this one takes the place of.
                    (folder / name).unlink(missing_ok=True)
                else:
                    write_atomic(folder / name, file, private=private or name == RECORD_FILE)
        except OSError as error:
            raise _unwritable(folder, error) from None

    @classmethod
    def load(cls, folder: Path) -> "Results":
        """Read back what :meth:`save` wrote; ConfigError where it is not there or malformed."""
        file = folder / METRICS
        if not file.exists():
            raise ConfigError(f"{file} does not exist; name the --out folder of a finished run")
        try:
            metrics = _adapter().validate_json(file.read_bytes())
            file = folder / CARD_FILE
            card = Scorecard.from_json(file.read_text()) if file.exists() else None
            file = folder / NETWORK_FILE
            network = file.read_bytes() if file.exists() else None
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError, OSError):
            raise ConfigError(
                f"{file} is damaged or of another version; put it back from its copy, or write the results once more, "
                "at no charge: fedrisk runs export RUN --out FOLDER (fedrisk runs lists all runs)"
            ) from None
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from None
        file = folder / RECORD_FILE
        record = ReleaseRecord.load(file) if file.exists() else None
        return cls(**vars(metrics), card=card, network=network, record=record)


@cache
def _adapter() -> TypeAdapter[StudyFigures]:
    return TypeAdapter(StudyFigures)


def prepare(folder: Path, *, again: bool) -> None:
    """Make the folder for results and try to write there: better before a study is paid for than after it.

    again: whether results of an earlier run that lie there may be overwritten. ConfigError where they may not,
    StoreError where nothing can be written.
    """
    if not again and (folder / METRICS).exists():
        raise ConfigError(
            f"{folder} holds {_holds(folder)}; name another --out folder, or say --again to overwrite it"
        )
    make_writable(folder)


def _holds(folder: Path) -> str:
    """Whose results lie in a folder."""
    try:
        found = json.loads((folder / METRICS).read_bytes())
        return f"the results of run {found['attempt']} of study {found['study']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "results of a run"


def make_writable(folder: Path) -> None:
    """Make a folder and write to it for a try; StoreError where that fails."""
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
    session: HubSession, outcome: Outcome, sections: tuple[Section, ...], *, engine: str, seconds: float
) -> Results:
    """All figures of a run. Outside research runs every one comes from the private evaluation histogram."""
    exchange, roster = session.exchange, session.roster
    study, research = roster.study, roster.research_seed is not None
    privacy, mu = study.privacy, total_mu(study)
    total = pooled(outcome.evaluation)
    return Results(
        study=study.name,
        recipe=study.recipe,
        digest=study.digest(),
        attempt=exchange.attempt,
        engine=engine,
        research=research,
        notice=NO_PRIVACY if research else None,
        research_seed=roster.research_seed,
        seconds=round(seconds, 2),
        exchanges=exchange.exchanges,
        rows=_rows(roster),
        epsilon=None if research else privacy.epsilon,
        nominal_epsilon=_finite(privacy.epsilon),
        delta=privacy.delta,
        mu=None if research else mu,
        epsilon_by_relation=None if research else epsilon_by_relation(mu, privacy.delta),
        spends=tuple(outcome.record.spends),
        second_release=outcome.second_release,
        default_rate=None if outcome.card is None else outcome.card.rate,
        expectation=outcome.expectation,
        findings=outcome.findings,
        verdict=outcome.verdict,
        training=outcome.training,
        **vars(_figures(None if total is None else from_histogram(*total))),
        auc_standard_error=_standard_error(total, outcome),
        calibration=None if total is None else _calibration(total, outcome.pooled_variance),
        calibration_fit=None if total is None else calibration_fit(*total, outcome.pooled_variance),
        by_bank=_by_bank(roster, outcome),
        bank_alone_auc=_mean(outcome, "bank_alone_auc"),
        bank_champion_auc=_mean(outcome, "bank_champion_auc"),
        bank_personal_auc=_mean(outcome, "bank_personal_auc"),
        bytes_sent=exchange.sent,
        bytes_received=exchange.received,
        peak_mb=round(peak_mb(), 1),
        institutions=_institutions(roster),
        display_names=study.display_names,
        sections=sections,
        evaluated=bool(study.banks),
        card=outcome.card,
        network=outcome.network,
        record=outcome.record,
    )


def _calibration(counts: Counts, variance: float) -> tuple[CalibrationGroup, ...]:
    """Observed against predicted default rate in about equally large groups of the hold-out, in order of risk.

    Groups of several score bins, for the noise of a single one would hide its rate; groups without enterprises are left
    out. variance: of the noise of each count.
    """
    n1, n0, probability = counts
    n = np.maximum(n1 + n0, 0)
    # The middle of each bin says to which group it belongs.
    place = (np.cumsum(n) - n / 2) / max(n.sum(), 1)
    group = np.minimum((place * CALIBRATION_GROUPS).astype(int), CALIBRATION_GROUPS - 1)
    positives, negatives, expected, bins = (
        np.bincount(group, v, CALIBRATION_GROUPS) for v in (n1, n0, n * probability, np.ones(len(n)))
    )
    size = np.bincount(group, n, CALIBRATION_GROUPS)
    out = []
    for k in np.flatnonzero((size > 0) & (positives + negatives > 0)):
        count = float(positives[k] + negatives[k])
        rate = float(np.clip(positives[k] / count, 0.0, 1.0))
        noise = variance * bins[k] * ((1 - rate) ** 2 + rate**2) / count**2
        predicted = float(expected[k] / size[k])
        error = math.sqrt(max(rate * (1 - rate), predicted * (1 - predicted)) / count + noise)
        out.append(CalibrationGroup(predicted=predicted, observed=rate, count=count, error=error))
    return tuple(out)


def peak_mb() -> float:
    """Greatest memory of this process so far plus that of its largest finished child, in MB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def _figures(metrics: Metrics | None) -> Figures:
    if metrics is None:
        return Figures()
    return Figures(
        auc=_finite(float(metrics.auc)),
        ks=_finite(float(metrics.ks)),
        gini=_finite(float(metrics.gini)),
        brier=_finite(float(metrics.brier)),
    )


def pooled(evaluation: Mapping[str, Counts]) -> Counts | None:
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


def _by_bank(roster: Roster, outcome: Outcome) -> dict[str, BankFigures] | None:
    if roster.research_seed is None and not roster.study.evaluation.by_bank:
        return None
    table: dict[str, BankFigures] = {}
    for bank, counts in outcome.evaluation.items():
        if bank == BANK and bank not in roster.study.banks:
            continue
        if not _usable(counts):  # no default or no other in the hold-out
            continue
        own = outcome.figures.get(bank, {})
        table[bank] = BankFigures(
            **vars(_figures(from_histogram(*counts))),
            alone_auc=own.get("bank_alone_auc"),
            champion_auc=own.get("bank_champion_auc"),
            personal_auc=own.get("bank_personal_auc"),
            holdout=roster.labelled_holdout[bank],
        )
    return table or None


def _mean(outcome: Outcome, name: str) -> float | None:
    values = [f[name] for f in outcome.figures.values() if f.get(name) is not None]
    return float(np.mean([v for v in values if v is not None])) if values else None


def _standard_error(total: Counts | None, outcome: Outcome) -> float | None:
    return None if total is None else float(auc_standard_error(total[0], total[1], outcome.pooled_variance))


def _rows(roster: Roster) -> Rows:
    overlap = None if roster.research_seed is None else _overlap(roster)
    without = {
        bank: said.rows - said.labelled
        for bank in roster.study.banks
        if (said := roster.statements[bank]).labelled is not None and said.labelled < said.rows
    }
    return Rows(
        training=roster.labelled, holdout=roster.labelled_holdout, overlap=overlap, unlabelled=without
    )


def _overlap(roster: Roster) -> dict[str, int]:
    """Enterprises that a holder has in common with the banks.

    Exact, so for research runs alone: two studies that differ by one customer would tell whether the holder knows it.
    """
    return {
        holder: sum(
            int(((rows.holders[holder] >= 0) & (rows.use < 2)).sum()) for rows in roster.lists.values()
        )
        for holder in roster.study.holders
        if holder not in roster.lists  # who trains has rows of its own, and none in common
    }


def _institutions(roster: Roster) -> dict[str, InstitutionFacts]:
    out = {}
    for name in roster.study.members:
        said, statement = roster.agreed[name].body, roster.statements[name]
        has_table = statement.role != "authority"
        out[name] = InstitutionFacts(
            role=statement.role,
            rows=statement.rows,
            label=None if statement.label is None else statement.label.model_dump(),
            scores=statement.scores if has_table else None,
            budget_left=said.get("budget_left"),
            meanings=said.get("meanings"),
        )
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
