"""One study from the first exchange to its results; the same on every engine."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from flwr.serverapp import Grid

from fedrisk.alignment.matching import BankList
from fedrisk.errors import PeerError, TrainingError
from fedrisk.protocol.payload import Payload
from fedrisk.recipe import Recipe
from fedrisk.releases.plan import Plan
from fedrisk.server.checkpoint import Checkpoint, packed, unpacked
from fedrisk.server.exchange import Exchange, Report
from fedrisk.server.hub import Hub
from fedrisk.server.outcome import HubSession
from fedrisk.server.results import Results, summarise
from fedrisk.server.roster import Roster, agree, align, check_overlap, planned, roster_features
from fedrisk.study import Study, study_from


def new_attempt() -> str:
    """Id of a new attempt at a study: never used before, so nothing of an earlier one can be repeated in it."""
    return secrets.token_hex(16)


def run_study(
    grid: Grid,
    study: Study,
    recipe: Recipe,
    hub: Hub,
    *,
    engine: str,
    research_seed: int | None = None,
    attempt: str | None = None,
    timeout: float = 3600.0,
    report: Report | None = None,
    resume: bool = False,
) -> Results:
    """Run a study over a grid whose nodes serve its institutions.

    Where optional institutions refuse or are not there, it goes on without them, under a new attempt; the results say
    who took part. resume: go on with a training that was stopped.
    Errors: PeerError where an institution refuses or is lost, ConfigError where public rules are broken or there is
    nothing to resume, DataError where nothing is in common. Nothing is released before all agree.
    """
    recipe.require()
    start, asked = time.monotonic(), recipe.checked(study)
    study = asked
    checkpoint = Checkpoint.latest(hub, study, research_seed) if resume else None
    if checkpoint is not None and checkpoint.begun is not None:
        attempt, study = checkpoint.attempt, study_from(checkpoint.begun.get("content"))
    exchange = Exchange(grid, attempt or new_attempt(), timeout=timeout, report=report)
    members = None if checkpoint is None else checkpoint.active
    try:
        try:
            agreed = agree(exchange, study, hub, research_seed, members)
        except PeerError:
            if resume or (smaller := _without_missing(exchange, study, recipe)) is None:
                raise
            study, exchange = smaller, Exchange(grid, new_attempt(), timeout=timeout, report=report)
            agreed = agree(exchange, study, hub, research_seed)
        session, plan = _session(exchange, study, recipe, hub, agreed, research_seed, checkpoint, asked)
        checkpoint = session.checkpoint
        outcome = recipe.hub(session, plan)
    except BaseException as error:
        if checkpoint is not None and isinstance(error, TrainingError):
            # From the same totals it would only diverge again.
            checkpoint.drop()
        # Also where somebody stops it by hand: nobody keeps its secrets, but of a training that can be resumed.
        if checkpoint is None or checkpoint.begun is None:
            exchange.close()
        raise
    exchange.close()
    checkpoint.drop()
    outcome.record = outcome.record.signed(hub.identity)
    seconds, left_out = time.monotonic() - start, set(asked.members) - set(study.members)
    results = summarise(session, outcome, recipe.summary(outcome), engine=engine, seconds=seconds)
    return replace(results, left_out=tuple(sorted(left_out)))


def _without_missing(exchange: Exchange, study: Study, recipe: Recipe) -> Study | None:
    """The study without the optional institutions that did not agree: another study, so another attempt.

    None where an institution is missing that is not optional.
    """
    left_out = set(exchange.missing)
    if not left_out or not left_out <= set(study.optional):
        return None
    exchange.close()
    return recipe.checked(study.without(left_out))


def _session(
    exchange: Exchange,
    study: Study,
    recipe: Recipe,
    hub: Hub,
    agreed: Mapping[str, Payload],
    research_seed: int | None,
    checkpoint: Checkpoint | None,
    asked: Study,
) -> tuple[HubSession, Plan]:
    """The aligned study and its plan, made here once; taken from the checkpoint where a training is resumed."""
    begun = None if checkpoint is None else checkpoint.begun
    known = agreed if begun is None else unpacked(begun.get("agreed"))
    recipe.members(study, roster_features(study, known))
    plan = planned(study, known, recipe.plan)
    if begun is None:
        roster = align(exchange, study, hub, agreed, research_seed, plan.sample_rows)
        check_overlap(roster)
    else:
        roster = _restored(study, research_seed, begun)
    kept = checkpoint or Checkpoint.of(hub, exchange.attempt)
    session = HubSession(exchange, roster, kept, keep_in(kept, roster, asked))
    return session, plan


def keep_in(checkpoint: Checkpoint, roster: Roster, asked: Study) -> Callable[[Payload], None]:
    """Begins a checkpoint with what a recipe set up; ``asked``: the study before members were left out of it."""
    return lambda state: _keep(checkpoint, roster, state, asked)


def _keep(checkpoint: Checkpoint, roster: Roster, state: Payload, asked: Study) -> None:
    """Begin the checkpoint: who agreed, the order of rows, and what the recipe needs to go on."""
    blobs: dict[str, Any] = {f"recipe|{name}": blob for name, blob in state.blobs.items()}
    for name, rows in roster.lists.items():
        blobs |= {f"rows:{name}": rows.rows, f"use:{name}": rows.use}
        blobs |= {f"holder:{name}:{holder}": there for holder, there in rows.holders.items()}
    body: Mapping[str, Any] = {
        "asked": asked.digest(),
        "content": roster.study.model_dump(mode="json"),
        "trainers": list(roster.study.trainers),
        "research_seed": roster.research_seed,
        "given": dict(roster.given),
        "agreed": packed(roster.agreed),
        "recipe": dict(state.body),
    }
    checkpoint.begin(Payload(body, blobs))


def _restored(study: Study, research_seed: int | None, begun: Payload) -> Roster:
    lists = {}
    for name in study.trainers:
        holders = {
            key.split(":")[2]: begun.array(key) for key in begun.blobs if key.startswith(f"holder:{name}:")
        }
        lists[name] = BankList(
            name,
            begun.array(f"rows:{name}").astype(np.int64),
            begun.array(f"use:{name}").astype(np.uint8),
            {h: there.astype(np.int64) for h, there in holders.items()},
        )
    agreed = unpacked(begun.get("agreed"))
    return Roster(study, research_seed, agreed, lists, begun.get("given"))
