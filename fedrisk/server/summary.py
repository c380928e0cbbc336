"""All figures of a run, from its roster and what its recipe left: what ``server/results`` holds and writes."""

import math
import resource
from collections.abc import Mapping

import numpy as np

from fedrisk.analysis.score_counts import counts_of
from fedrisk.analysis.warning_threshold import threshold_of
from fedrisk.findings import Finding
from fedrisk.metrics import Metrics, auc_standard_error, calibration_fit, from_histogram
from fedrisk.models.warning_point import WarningPoint
from fedrisk.privacy.accounting import LABEL_IN_COUNTS, LABEL_IN_VECTORS, epsilon_by_relation
from fedrisk.protocol.statements import seasons_of
from fedrisk.recipe import Section
from fedrisk.releases.budget import total_mu
from fedrisk.server.outcome import Counts, HubSession, Outcome
from fedrisk.server.results import (
    BankFigures,
    CalibrationGroup,
    Figures,
    InstitutionFacts,
    Results,
    Rows,
    finite,
)
from fedrisk.server.roster import Roster
from fedrisk.study import NO_PRIVACY, Study
from fedrisk.study_members import BANK

CALIBRATION_GROUPS = 12
"""Most groups of the hold-out whose default rate is shown beside the predicted one."""


def summarise(
    session: HubSession, outcome: Outcome, sections: tuple[Section, ...], *, engine: str, seconds: float
) -> Results:
    """All figures of a run. Outside research runs every one comes from the private evaluation histogram."""
    exchange, roster = session.exchange, session.roster
    study, research = roster.study, roster.research_seed is not None
    privacy, mu = study.privacy, total_mu(study)
    total = pooled(outcome.evaluation)
    label = LABEL_IN_VECTORS if outcome.card is None else LABEL_IN_COUNTS
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
        nominal_epsilon=finite(privacy.epsilon),
        delta=privacy.delta,
        mu=None if research else mu,
        epsilon_by_relation=None if research else epsilon_by_relation(mu, privacy.delta, label=label),
        spends=tuple(outcome.record.spends),
        second_release=outcome.second_release,
        default_rate=None if outcome.card is None else outcome.card.rate,
        expectation=outcome.expectation,
        findings=(*outcome.findings, *_went_without(roster, outcome)),
        verdict=outcome.verdict,
        training=outcome.training,
        **vars(_figures(None if total is None else from_histogram(*total, variance=outcome.pooled_variance))),
        auc_standard_error=_standard_error(total, outcome),
        calibration=None if total is None else _calibration(total, outcome.pooled_variance),
        warning=_warning(study, outcome),
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
        evaluated=bool(study.banks) and outcome.evaluated,
        card=outcome.card,
        network=outcome.network,
        record=outcome.record,
    )


def _warning(study: Study, outcome: Outcome) -> WarningPoint | None:
    """The threshold of warnings; None where the study asks for none, or nothing is left for one."""
    if study.warning is None or outcome.card is None:
        return None
    counts = counts_of(outcome.record, outcome.card)
    return None if counts is None else threshold_of(counts, study.warning.false_alarms)


def _went_without(roster: Roster, outcome: Outcome) -> tuple[Finding, ...]:
    """That a study was not evaluated because it asked for none, or that noise left no threshold of warnings."""
    study = roster.study
    asked = study.evaluation.release or not (study.banks and outcome.evaluated)
    found: tuple[Finding, ...] = () if asked else (Finding("went_without_evaluation"),)
    if study.warning is not None and _warning(study, outcome) is None:
        found += (Finding("no_threshold", {"stated": study.warning.false_alarms}),)
    return found


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
        auc=finite(float(metrics.auc)),
        ks=finite(float(metrics.ks)),
        gini=finite(float(metrics.gini)),
        brier=finite(float(metrics.brier)),
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
            **vars(_figures(from_histogram(*counts, variance=outcome.pooled_variance))),
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
        has_table = roster.study.has_table(name)
        out[name] = InstitutionFacts(
            role=statement.role,
            rows=statement.rows,
            label=None if statement.label is None else statement.label.model_dump(),
            scores=statement.scores if has_table else None,
            budget_left=said.get("budget_left"),
            meanings=said.get("meanings"),
            seasons=seasons_of(statement),
        )
    return out
