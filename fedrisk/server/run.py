"""One study from the first exchange to its results; the same on every engine."""

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from flwr.serverapp import Grid

from fedrisk.alignment.matching import BankList
from fedrisk.attempt_id import short
from fedrisk.errors import DataError, PeerError, Stopped, StoreError, TrainingError
from fedrisk.protocol.payload import Payload
from fedrisk.recipe import Recipe, Section
from fedrisk.releases.plan import Plan
from fedrisk.server.checkpoint import Checkpoint, packed, unpacked
from fedrisk.server.exchange import Exchange, Report
from fedrisk.server.hub import Hub
from fedrisk.server.outcome import HubSession, Outcome, left_undone
from fedrisk.server.results import Results
from fedrisk.server.roster import (
    Roster,
    agree,
    align,
    check_overlap,
    little_in_common,
    planned,
    roster_features,
)
from fedrisk.server.runs import Log, Runs, entry
from fedrisk.server.summary import summarise
from fedrisk.server.tables import collect, with_tables
from fedrisk.study import Study, study_from


def new_attempt() -> str:
    """Id of a new attempt at a study: never used before, so nothing of an earlier one can be repeated in it."""
    return secrets.token_hex(16)


def finished(results: Results) -> str:
    """What a person reads who stopped a run after its last exchange: nothing of it is lost."""
    return (
        f"run {results.attempt} of study {results.study} was stopped by hand, after it was finished and charged. Its "
        f"results are kept at the hub; at no charge: fedrisk runs export {short(results.attempt)} --out FOLDER"
    )


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
    out: Path | None = None,
) -> Results:
    """Run a study over a grid whose nodes serve its institutions.

    Where optional institutions refuse or are not there, it goes on without them, under a new attempt; the results say
    who took part. resume: go on with a training that was stopped. out: where the results will go, for the entry of the
    run (server/runs). Results are in the hub's own store, beside that entry, before this returns, with the tables that
    members sign of what left them (server/tables).
    Errors: PeerError where an institution refuses or is lost, ConfigError where public rules are broken or there is
    nothing to resume, DataError where nothing is in common. Nothing is released before all agree.
    ``Stopped`` (a KeyboardInterrupt) where a person stops it once all is finished.
    """
    recipe.require()
    asked = recipe.checked(study)
    checkpoint = Checkpoint.latest(hub, asked, research_seed) if resume else None
    study = asked
    if checkpoint is not None and checkpoint.begun is not None:
        attempt, study = checkpoint.attempt, study_from(checkpoint.begun.get("content"))

    def trial(study: Study, attempt: str) -> "_Trial":
        exchange = Exchange(grid, attempt, timeout=timeout, report=report)
        return _Trial(exchange, study, asked, recipe, hub, engine, research_seed, checkpoint, out)

    first = trial(study, attempt or new_attempt())
    try:
        return first.run()
    except PeerError:
        if first.agreed or resume or (smaller := _without_missing(first.exchange, study, recipe)) is None:
            raise
    return trial(smaller, new_attempt()).run()


@dataclass
class _Trial:
    """One attempt at a study; agreed: whether all members agreed to it."""

    exchange: Exchange
    study: Study
    asked: Study
    recipe: Recipe
    hub: Hub
    engine: str
    research_seed: int | None
    checkpoint: Checkpoint | None
    out: Path | None
    agreed: bool = False
    start: float = field(default_factory=time.monotonic)

    def run(self) -> Results:
        """From the first exchange to the results, which are kept at once; errors as of :func:`run_study`."""
        exchange, research = self.exchange, self.research_seed is not None
        begun = entry(
            self.study, self.asked, exchange.attempt, engine=self.engine, research=research, out=self.out
        )
        with Runs(self.hub).begin(begun) as log:

            def went() -> None:
                log.went(exchange.exchanges, tuple(sorted(exchange.charged)))

            exchange.on_charge = went
            try:
                results, checkpoint = self._results(log)
            except BaseException as error:
                if self.checkpoint is not None and isinstance(error, TrainingError):
                    # From the same totals it would only diverge again.
                    self.checkpoint.drop()
                went()
                # Also where somebody stops it by hand: nobody keeps its secrets, but of a training that can be resumed.
                if self.checkpoint is None or self.checkpoint.begun is None:
                    exchange.close()
                raise
            went()
            kept = log.finish(results)
        results = results if kept else results.with_finding(left_undone("entry", StoreError("")))
        try:
            exchange.close()
            checkpoint.drop()
            return self._with_tables(results)
        except KeyboardInterrupt:
            raise Stopped(finished(results)) from None

    def _with_tables(self, results: Results) -> Results:
        """The results with who saw what; a finding in its place where tables cannot be compared. Kept at the hub."""
        runs = Runs(self.hub)
        try:
            handed = collect(self.exchange, self.study.members, self.hub.pins)
            results = with_tables(results, handed)
        except Exception as error:
            runs.note(results.attempt, "trails", error)
            results = results.with_finding(left_undone("trails", error))
        with contextlib.suppress(StoreError):
            runs.save(results)
        return results

    def _results(self, log: Log) -> tuple[Results, Checkpoint]:
        exchange, members = self.exchange, None if self.checkpoint is None else self.checkpoint.active
        agreed = agree(exchange, self.study, self.hub, self.research_seed, members)
        self.agreed = True
        session, plan = _session(
            exchange,
            self.study,
            self.recipe,
            self.hub,
            agreed,
            self.research_seed,
            self.checkpoint,
            self.asked,
        )
        self.checkpoint = session.checkpoint
        session = replace(
            session, note=log.note, so_far=lambda outcome: log.so_far(self._summed_up(session, outcome))
        )
        outcome = self.recipe.hub(session, plan)
        return self._summed_up(session, outcome), session.checkpoint

    def _summed_up(self, session: HubSession, outcome: Outcome) -> Results:
        """The results with a signed record; without figures where these cannot be made of what was released."""
        made = copy(outcome)
        made.record = outcome.record.signed(self.hub.identity)
        no_sections: tuple[Section, ...] = ()
        sections = session.optional("sections", lambda: self.recipe.summary(made), no_sections, made)
        seconds = time.monotonic() - self.start

        def summed_up(made: Outcome) -> Results:
            return summarise(session, made, sections, engine=self.engine, seconds=seconds)

        results = session.optional("figures", lambda: summed_up(made), None, made)
        if results is None:
            made.evaluation = {}
            results = summed_up(made)
        return replace(results, left_out=tuple(sorted(set(self.asked.members) - set(self.study.members))))


def _without_missing(exchange: Exchange, study: Study, recipe: Recipe) -> Study | None:
    """The study without the optional institutions that did not agree: another study, so another attempt.

    None where an institution is missing that is not optional.
    """
    left_out = set(exchange.missing)
    if not left_out or not left_out <= set(study.optional):
        return None
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
        _check_overlap(exchange, roster)
    else:
        roster = _restored(study, research_seed, begun)
    kept = checkpoint or Checkpoint.of(hub, exchange.attempt)
    session = HubSession(exchange, roster, kept, keep_in(kept, roster, asked))
    return session, plan


def _check_overlap(exchange: Exchange, roster: Roster) -> None:
    """Errors of ``check_overlap``; those whom it concerns are told with the end of the attempt."""
    try:
        check_overlap(roster)
    except DataError:
        exchange.close(little_in_common(roster))
        raise


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
