"""Facts of a model card (Mitchell et al. 2019): what a model is, for whom, how good and fair, and its price in privacy.

Everything in it the hub knows from released numbers, from the study and from what members stated to all. No
institution's budget, number of rows, table or file is in it, and nothing of how its machine fared. Numbers of rows of
all banks together are rounded: in a study of one bank exact ones would be its own. So whoever may have the model may
have its card.
"""

import hashlib
import math
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from fedrisk.analysis.curves import area, ks
from fedrisk.analysis.fairness import Fairness, fairness
from fedrisk.analysis.guarantee import guarantee
from fedrisk.analysis.past_studies import label_of
from fedrisk.analysis.score_counts import counts_of
from fedrisk.errors import ConfigError
from fedrisk.models.edited_card import EditedCard
from fedrisk.releases.record import ReleaseRecord
from fedrisk.report.deployment import label_price, rounded
from fedrisk.server.results import Results

FORMAT = 1
"""Of model_card.json."""

MODELS = ("scorecard", "network")
"""Recipes that make a score."""

OF_MACHINES = ("table_missing", "kept_at_banks", "baselines_apart", "left_undone", "memory_left_out")
"""Codes, or how they begin, of findings that say how members' machines and the hub fared, and nothing of the model."""


def card_facts(results: Results, edited: EditedCard | None = None) -> dict[str, Any]:
    """All facts as plain values for JSON: codes and figures, no sentences.

    edited: the card after edits, where it is that one that is used; figures stay those of the released card.
    ConfigError where there is no model, or the edited card is of another run or does not hold to its history.
    """
    record = results.record
    if results.recipe not in MODELS or (results.card is None and results.network is None):
        raise ConfigError(
            f"study {results.study} is of recipe {results.recipe} and has no model that scores; a model card is of a "
            "scorecard or a network. Its deployment record: fedrisk report card RUN --record-only"
        )
    if record is None:
        raise ConfigError(
            f"the results of {results.study} are without their release record; put it back beside them, or name the run"
        )
    facts = {
        "format": FORMAT,
        "model": _model(results, record),
        "purpose": record.study["purpose"],
        "windows": _windows(results, record),
        "populations": _populations(results, record),
        "figures": _figures(results, record),
        "fairness": _fairness(fairness(record)),
        "privacy": _privacy(results, record),
        "who_saw_what": _seen(results),
        "beforehand": _beforehand(record),
        "edits": None if edited is None else _edits(results, edited),
        "versions": _versions(results, record),
    }
    plain: dict[str, Any] = _finite(facts)
    return plain


def _finite(value: Any) -> Any:
    """The value with None in place of prices that are infinite, since there is no privacy: JSON knows neither."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value


def _model(results: Results, record: ReleaseRecord) -> dict[str, Any]:
    card = results.card
    columns = (
        {}
        if card is None
        else Counter(b.feature.institution for b in card.bins if b.feature.kind not in ("known", "pair"))
    )
    return {
        "study": results.study,
        "recipe": results.recipe,
        "attempt": results.attempt,
        "research": results.research,
        "notice": results.notice,
        "columns": dict(columns),
        "pairs": 0 if card is None else sum(b.feature.kind == "pair" for b in card.bins),
        "verdict": [asdict(f) for f in results.verdict],
        "findings": [asdict(f) for f in results.findings if not f.code.startswith(OF_MACHINES)],
    }


def _windows(results: Results, record: ReleaseRecord) -> dict[str, Any]:
    labels = [facts.label for facts in results.institutions.values() if facts.label]
    named = {} if record.study.get("label") is None else {"label": label_of(record.study)}
    return {
        **record.study.get("windows", {}),
        **named,
        "horizon": sorted({label["horizon"] for label in labels}),
        "fresh_days": (record.study.get("serving") or {}).get("fresh_days"),
    }


def _populations(results: Results, record: ReleaseRecord) -> dict[str, Any]:
    """Sizes of all banks together, and the banks' own words on who has a label."""
    labels = [facts.label for facts in results.institutions.values() if facts.label]
    study = record.study
    return {
        "members": _members(results),
        "training": rounded(sum(results.rows.training.values())),
        "holdout": rounded(sum(results.rows.holdout.values())),
        "unlabelled": rounded(sum(results.rows.unlabelled.values())),
        "holdout_kind": study["holdout"]["kind"],
        "holdout_percent": study["holdout"]["percent"],
        "included": study["alignment"].get("inclusion_probability"),
        "selection": sorted({label["selection"] for label in labels if label.get("selection")}),
        "weighted": any(label.get("weighted") for label in labels),
        "reject_inference": False,
        "default_rate": results.default_rate,
    }


def _members(results: Results) -> dict[str, list[str]]:
    """Names by role, as people read them."""
    out: dict[str, list[str]] = {}
    for name, facts in results.institutions.items():
        out.setdefault(facts.role, []).append(results.display_names.get(name, name))
    return out


def _figures(results: Results, record: ReleaseRecord) -> dict[str, Any] | None:
    """Quality on the hold-out with intervals of 95 %; None where nothing was evaluated."""
    counts = counts_of(record, results.card)
    if counts is None or not counts.usable:
        return None
    found, fit = ks(counts), results.calibration_fit
    return {
        "auc": asdict(area(counts)),
        "ks": None if found is None else asdict(found.value),
        "gini": results.gini,
        "brier": results.brier,
        "calibration": None if fit is None else asdict(fit),
        "noise_deviation": counts.variance**0.5,
        "groups": [asdict(g) for g in results.calibration or ()],
    }


def _fairness(found: Fairness | None) -> dict[str, Any] | None:
    if found is None:
        return None
    plain = asdict(found)
    for column, made in zip(plain["columns"], found.columns, strict=True):
        for group, g in zip(column["groups"], made.groups, strict=True):
            group["says"] = g.says
            for approval, a in zip(group["approvals"], g.approvals, strict=True):
                approval["four_fifths"] = a.four_fifths
    return plain


def _privacy(results: Results, record: ReleaseRecord) -> dict[str, Any] | None:
    """The guarantee; None of a research run, which has none."""
    if results.research or results.mu is None:
        return None
    holders = sum(facts.role != "bank" and facts.rows > 0 for facts in results.institutions.values())
    highest = max(results.mu, *(_charged(results).values()))
    return {
        **asdict(guarantee(results.mu, results.delta, institutions=1 + holders, label=label_price(results))),
        "highest_mu": highest,
        "releases": _by_release(results),
        "colluders": record.study["privacy"]["colluders"],
        "aligned": results.recipe in MODELS,
    }


def _charged(results: Results) -> dict[str, float]:
    """Price of each institution, as the populations compose; for the highest alone, names stay here."""
    squares: dict[tuple[str, str], float] = {}
    for spend in results.spends:
        key = (spend["institution"], spend["population"])
        squares[key] = squares.get(key, 0.0) + spend["mu"] ** 2
    out: dict[str, float] = {}
    for (name, _), square in squares.items():
        out[name] = max(out.get(name, 0.0), square**0.5)
    return out


def _by_release(results: Results) -> list[dict[str, Any]]:
    """Releases in their order with population, price and how many were charged."""
    found: dict[tuple[str, str, float], set[str]] = {}
    for spend in results.spends:
        found.setdefault((spend["release"], spend["population"], spend["mu"]), set()).add(
            spend["institution"]
        )
    return [
        {"release": name, "population": population, "mu": mu, "institutions": len(names)}
        for (name, population, mu), names in found.items()
    ]


def _seen(results: Results) -> list[dict[str, Any]]:
    """What kinds of party let each other see, from the members' signed tables, each line once."""
    role = {name: facts.role for name, facts in results.institutions.items()}
    # One that brings no table is known by the study alone.
    found: dict[tuple[str, str, str, str], float] = {}
    for line in results.disclosures:
        key = (
            role.get(line.institution, line.institution),
            role.get(line.counterparty, line.counterparty),
            line.kind,
            line.protection,
        )
        found[key] = max(found.get(key, 0.0), line.mu or 0.0)
    return [
        {"from": giver, "to": taker, "kind": kind, "protection": protection, "mu": mu}
        for (giver, taker, kind, protection), mu in sorted(found.items())
    ]


def _beforehand(record: ReleaseRecord) -> dict[str, Any]:
    """What the study knew from elsewhere: earlier studies by name, and where curves come from."""
    known: Mapping[str, Any] = record.study.get("settings", {}).get("known") or {}
    prior = known.get("prior") if record.study["recipe"] == "scorecard" else known
    return {
        "memory": [str(earlier.get("study", "")) for earlier in known.get("memory") or ()],
        "prior": str(prior["source"]) if prior and prior.get("source") else None,
    }


def _edits(results: Results, edited: EditedCard) -> dict[str, Any]:
    """The history of a card after its release, by its digests."""
    wrong = edited.broken()
    if edited.attempt != results.attempt:
        wrong = [f"it is of run {edited.attempt[:8]}, and the results are of run {results.attempt[:8]}"]
    if wrong:
        raise ConfigError(f"the edited card does not fit: {wrong[0]}; name the right one (fedrisk card show)")
    return {
        "model_sha256": edited.digest,
        "history": [
            {
                "number": entry.number,
                "time": entry.time,
                "author": entry.edit.author,
                "reason": entry.edit.reason,
                "changes": {
                    k: v for k, v in entry.edit.to_dict().items() if v and k not in ("author", "reason")
                },
                "auc": dict(entry.costs.get("auc", {})),
                "digest": entry.digest,
            }
            for entry in edited.history
        ],
    }


def _versions(results: Results, record: ReleaseRecord) -> dict[str, Any]:
    card = results.card
    model = (
        (card.to_json() + "\n").encode() if card is not None else results.network if results.network else b""
    )
    return {
        "fedrisk": version("fedrisk"),
        "python": platform.python_version(),
        "study_sha256": results.digest,
        "record_sha256": record.digest(),
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "model_file": results.model_file,
        "hub_key": record.hub,
        "member_keys": {t.institution: t.key for t in results.tables},
    }
