"""Results of a study: the figures that may be published, and the files in which they stand."""

import json
import math
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import TypeAdapter, ValidationError

from fedrisk.audit.table import TABLES_FILE, SignedTable, tables_from_json, tables_to_json
from fedrisk.errors import ConfigError, EnvelopeError, StoreError
from fedrisk.files import write_atomic
from fedrisk.findings import Finding
from fedrisk.metrics import CalibrationFit
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.warning_point import WarningPoint
from fedrisk.privacy.accounting import EpsilonByRelation
from fedrisk.recipe import Section
from fedrisk.releases.record import FILE as RECORD_FILE
from fedrisk.releases.record import ReleaseRecord
from fedrisk.releases.statistics import CSV, PARQUET, RELEASE
from fedrisk.server.outcome import TrainingFigures

METRICS, CARD_FILE, NETWORK_FILE = "metrics.json", "scorecard.json", "network.npz"


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
    seasons: published seasonal indices by which it divides months (protocol/statements.seasons_of).
    """

    role: str
    rows: int
    label: dict[str, Any] | None = None
    scores: str | None = None
    budget_left: dict[str, float] | None = None
    meanings: dict[str, dict[str, Any]] | None = None
    seasons: tuple[dict[str, Any], ...] = ()


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
    model whose scores can be evaluated. warning: the threshold, where the study asks for one and noise leaves one.
    display_names: what people read in place of names, where the study says so.
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
    warning: WarningPoint | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything of metrics.json: JSON has no infinity and no NaN, they become null."""
        figures = {f.name: getattr(self, f.name) for f in fields(StudyFigures)}
        plain: dict[str, Any] = _clean(_adapter().dump_python(StudyFigures(**figures)))
        return plain


@dataclass(frozen=True, kw_only=True)
class Results(StudyFigures):
    """The figures of a run with the model and the record of what was released.

    card: the scorecard, where the recipe makes one; network: the trained network or encoder with its design, as the
    bytes of a ``.npz`` file. tables: what members signed of what left them, from which ``disclosures`` and
    ``disagreements`` follow.
    """

    card: Scorecard | None = field(default=None, repr=False)
    network: bytes | None = field(default=None, repr=False)
    record: ReleaseRecord | None = field(default=None, repr=False)
    tables: tuple[SignedTable, ...] = field(default=(), repr=False)

    @property
    def model_file(self) -> str:
        """Name of the file in which the model is saved."""
        return CARD_FILE if self.card is not None else NETWORK_FILE

    @property
    def not_compared(self) -> tuple[str, ...]:
        """Institutions whose tables of what left them are not here."""
        return tuple(str(f.values["institution"]) for f in self.findings if f.code == "table_missing")

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
            **self._statistics(private),
            RECORD_FILE: None if self.record is None else self.record.to_bytes(),
            TABLES_FILE: tables_to_json(self.tables) if self.tables else None,
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

    def _statistics(self, private: bool) -> dict[str, bytes | None]:
        """Figures of a statistics study; not in the hub's own store, where they follow from the record."""
        none: dict[str, bytes | None] = {CSV: None, PARQUET: None}
        if private or self.record is None or self.record.find(RELEASE) is None:
            return none
        # Most processes that read results have none of these.
        from fedrisk.analysis.estimates import estimates
        from fedrisk.analysis.result_files import result_files

        try:
            return {**none, **result_files(estimates(self.record))}
        except Exception:
            # The record is what was paid for; the report says what is wrong with it.
            return none

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what :meth:`save` wrote; ConfigError where it is not there or malformed."""
        file = folder / METRICS
        if folder.is_file():
            raise ConfigError(f"{folder} is a file; name the folder of a finished run (its --out)")
        if not file.exists():
            raise ConfigError(f"{file} does not exist; name the --out folder of a finished run")
        try:
            metrics = _adapter().validate_json(file.read_bytes())
            file = folder / CARD_FILE
            card = Scorecard.from_json(file.read_text()) if file.exists() else None
            file = folder / NETWORK_FILE
            network = file.read_bytes() if file.exists() else None
            file = folder / TABLES_FILE
            tables = tables_from_json(file.read_bytes()) if file.exists() else ()
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError, OSError, EnvelopeError):
            raise ConfigError(
                f"{file} is damaged or of another version; put it back from its copy, or write the results once more, "
                "at no charge: fedrisk runs export RUN --out FOLDER (fedrisk runs lists all runs)"
            ) from None
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from None
        file = folder / RECORD_FILE
        record = ReleaseRecord.load(file) if file.exists() else None
        return cls(**vars(metrics), card=card, network=network, record=record, tables=tables)


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


def finite(value: float) -> float | None:
    """The value; None for infinity and NaN, which JSON lacks.

    >>> finite(0.5), finite(math.inf)
    (0.5, None)
    """
    return value if math.isfinite(value) else None


def _clean(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become null."""
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return finite(float(value))
    return value
