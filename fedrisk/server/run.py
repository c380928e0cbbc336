"""One study from the first exchange to its results; the same on every engine."""

import secrets
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.serverapp import Grid

from fedrisk.alignment.matching import BankList
from fedrisk.errors import PeerError
from fedrisk.models.training import require_torch
from fedrisk.protocol import Payload
from fedrisk.server.checkpoint import Checkpoint, packed, unpacked
from fedrisk.server.exchange import Exchange, Progress
from fedrisk.server.hub import Hub
from fedrisk.server.results import Results, summarise
from fedrisk.server.roster import Roster, agree, align, roster_features
from fedrisk.server.scorecard import Released, check_overlap, fit_scorecard
from fedrisk.server.training import Trained
from fedrisk.study import Study, study_from


def new_attempt() -> str:
    """Id of a new attempt at a study: never used before, so nothing of an earlier one can be repeated in it."""
    return secrets.token_hex(16)


def run_study(
    grid: Grid,
    study: Study,
    hub: Hub,
    *,
    engine: str,
    research_seed: int | None = None,
    attempt: str | None = None,
    timeout: float = 3600.0,
    progress: Progress | None = None,
    resume: bool = False,
) -> Results:
    """Run a study over a grid whose nodes serve its institutions.

    Where optional institutions refuse or are not there, it goes on without them, under a new attempt; the results
    say who took part. ``resume``: go on with a training of the same study that was stopped, from its last step.

    Errors: PeerError where an institution refuses or is lost, ConfigError where public rules are broken or there
    is nothing to resume, DataError where nothing is in common. Nothing is released before all agree.
    """
    start, asked = time.monotonic(), study
    if study.recipe != "scorecard":
        require_torch()
    checkpoint = Checkpoint.latest(hub, study, research_seed) if resume else None
    if checkpoint is not None and checkpoint.begun is not None:
        attempt, study = checkpoint.attempt, study_from(checkpoint.begun.get("content"))
    exchange = Exchange(grid, attempt or new_attempt(), timeout=timeout, progress=progress)
    try:
        try:
            members = None if checkpoint is None else checkpoint.active
            agreed = agree(exchange, study, hub, research_seed, members)
        except PeerError:
            left_out = set(exchange.missing)
            if resume or not left_out or not left_out <= set(study.optional):
                raise
            exchange.close()
            study = study.without(left_out)  # another study, so another attempt with keys of its own
            exchange = Exchange(grid, new_attempt(), timeout=timeout, progress=progress)
            agreed = agree(exchange, study, hub, research_seed)
        if checkpoint is not None and checkpoint.begun is not None:
            roster = _restored(study, research_seed, checkpoint.begun)
        else:
            roster = align(exchange, study, hub, agreed, research_seed)
            check_overlap(roster)
        checkpoint = checkpoint or Checkpoint.of(hub, exchange.attempt)
        released = fit(exchange, roster, checkpoint, asked)
    except BaseException:  # also where somebody stops the study by hand: nobody keeps its secrets
        if checkpoint is None or checkpoint.begun is None:
            exchange.close()  # else it may be resumed, and nodes forget it after a day
        raise
    exchange.close()
    checkpoint.drop()
    results = summarise(exchange, roster, released, engine=engine, seconds=time.monotonic() - start)
    results.metrics["left_out"] = sorted(set(asked.members) - set(study.members))
    return results


def fit(
    exchange: Exchange, roster: Roster, checkpoint: Checkpoint, asked: Study | None = None
) -> Released | Trained:
    """The study's recipe. Those that need torch load it here, and not with this module.

    asked: the study before optional members were left out of it.
    """

    def keep(state: Payload) -> None:
        _keep(checkpoint, roster, state, asked or roster.study)

    if roster.study.recipe == "neural":
        from fedrisk.server.network import fit_network

        return fit_network(exchange, roster, checkpoint, keep=keep)
    if roster.study.recipe == "encoder":
        from fedrisk.server.encoder import fit_encoder

        return fit_encoder(exchange, roster, checkpoint, keep=keep)
    return fit_scorecard(exchange, roster)


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
    return Roster(study, research_seed, agreed, roster_features(study, agreed), lists)
