"""One study from the first exchange to its results; the same on every engine."""

import contextlib
import math
import secrets
import time
from collections.abc import Callable, Collection
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

from flwr.serverapp import Grid

from fedrisk.attempt_id import short
from fedrisk.errors import DataError, FedriskError, LostError, PeerError, Stopped, StoreError
from fedrisk.findings import Finding
from fedrisk.protocol.payload import Payload
from fedrisk.recipe import Recipe, Section
from fedrisk.server import knowledge
from fedrisk.server.exchange import Exchange, Report
from fedrisk.server.hub import Hub
from fedrisk.server.journal import ALIGNED, Journal
from fedrisk.server.outcome import HubSession, Outcome, left_undone
from fedrisk.server.results import Results
from fedrisk.server.roster import (
    Roster,
    agree,
    align,
    check_overlap,
    description,
    little_in_common,
    planned,
    roster_features,
    tell_members,
    without_alignment,
)
from fedrisk.server.runs import Log, Runs, entry
from fedrisk.server.summary import summarise
from fedrisk.server.tables import collect, show, with_tables
from fedrisk.study import Study, study_from

DEPLOYMENT = "deployment"
"""The engine of studies between machines, where no institution's file is at hand."""


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
    timeout: float = math.inf,
    report: Report | None = None,
    resume: bool = False,
    patient: bool = True,
    without: Collection[str] = (),
    out: Path | None = None,
    began: Callable[[str], None] = lambda attempt: None,
) -> Results:
    """Run a study over a grid whose nodes serve its institutions.

    Where optional institutions refuse or are not there, it goes on without them, under a new attempt; the results say
    who took part. without: optional institutions of which it is known beforehand that they do not. resume: go on with a
    run of the study that was stopped (server/journal), that of ``attempt`` or the newest; one that was stopped before
    the rows were in order begins anew, under a new attempt: nobody was charged.
    timeout: bounds the study's deadlines. patient: whether lost institutions are asked again until the deadline
    (server/post). out: where the results will go, for the entry of the run (server/runs). began: called with the id of
    each attempt before its first exchange. Results are in the hub's own store, beside that entry, before this returns,
    with the tables that members sign of what left them (server/tables).
    Errors: PeerError where an institution refuses or is lost (LostError where nobody refused: then the run can go on),
    ConfigError where public rules are broken or there is nothing to resume, DataError where nothing is in common.
    Nothing is released before all agree. ``Stopped`` (a KeyboardInterrupt) where a person stops it once all is
    finished.
    """
    recipe.require()
    asked = recipe.checked(study)

    def trial(study: Study, attempt: str) -> "_Trial":
        exchange = Exchange(
            grid,
            attempt,
            timeout=timeout,
            deadline=study.deadline,
            report=report,
            journal=Journal.of(hub, attempt),
            patient=patient,
        )
        return _Trial(exchange, study, asked, recipe, hub, engine, research_seed, out, began)

    if resume:
        journal = Journal.latest(hub, asked, research_seed, attempt)
        study = study_from(journal.begun["content"])
        if journal.can_go_on:
            return trial(study, journal.attempt).run()
        trial(study, journal.attempt).abandon()
        attempt = None
    # What it knows beforehand is looked up once, and stated in the study from then on.
    study = knowledge.kept(recipe, asked, hub, research=research_seed is not None)
    study = recipe.without(study, without) if without else study
    first = trial(study, attempt or new_attempt())
    try:
        return first.run()
    except PeerError:
        if first.agreed or (smaller := _without_missing(first.exchange, study, recipe)) is None:
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
    out: Path | None
    began: Callable[[str], None]
    agreed: bool = False
    start: float = field(default_factory=time.monotonic)

    @property
    def journal(self) -> Journal:
        """What is kept of the attempt."""
        return Journal.of(self.hub, self.exchange.attempt)

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
                self.journal.begin(self.asked, self.study, self.research_seed)
                self.began(exchange.attempt)
                results = self._results(log)
            except BaseException as error:
                went()
                # Also where somebody stops it by hand: nobody keeps secrets of what cannot go on.
                if not (_goes_on(error) and self.journal.can_go_on):
                    self.end()
                raise
            went()
            kept = log.finish(results)
        results = results if kept else results.with_finding(left_undone("entry", StoreError("")))
        try:
            self.end()
            return self._with_tables(results)
        except KeyboardInterrupt:
            raise Stopped(finished(results)) from None

    def _with_tables(self, results: Results) -> Results:
        """The results with who saw what; a finding in its place where tables cannot be compared. Kept at the hub."""
        runs = Runs(self.hub)
        try:
            handed = collect(self.exchange, self.study.members, self.hub.pins)
            results = with_tables(results, handed)
            show(self.exchange, self.study, handed)
        except Exception as error:
            runs.note(results.attempt, "trails", error)
            results = results.with_finding(left_undone("trails", error))
        with contextlib.suppress(StoreError):
            runs.save(results)
        return results

    def end(self) -> None:
        """Nothing of the attempt will go on: institutions forget its secrets, the hub its journal."""
        self.exchange.close()
        self.journal.drop()

    def abandon(self) -> None:
        """End an attempt that a hub left that was killed before the rows were in order."""
        self._expect()
        self.end()

    def _expect(self) -> None:
        content = description(self.study, self.exchange.attempt, self.research_seed)
        self.exchange.expect(self.study.members, content, self.hub.pins, self.study.digest())

    def _results(self, log: Log) -> Results:
        exchange = self.exchange
        self._expect()
        roster = self._roster()
        self.agreed = True
        known = self._known()
        plan = planned(self.study, roster.agreed, known.plan)
        if roster.lists:
            _check_overlap(exchange, roster)
        session = HubSession(exchange, roster, note=log.note, known=known.knowledge)
        session = replace(session, so_far=lambda outcome: log.so_far(self._summed_up(session, outcome)))
        results = self._summed_up(session, self.recipe.hub(session, plan))
        if self.engine == DEPLOYMENT:
            results = replace(results, findings=(*results.findings, *self._kept_elsewhere()))
        return results

    def _known(self) -> knowledge.Beforehand:
        return knowledge.look_up(self.recipe, self.study, self.hub, research=self.research_seed is not None)

    def _kept_elsewhere(self) -> tuple[Finding, ...]:
        """What results of one machine would have, and these cannot: banks' own figures, and baselines."""
        study, found = self.study, list[Finding]()
        if study.banks and self.recipe.labels:
            values = {"names": ", ".join(study.banks), "run": short(self.exchange.attempt)}
            found.append(Finding("kept_at_banks", values))
        baselines = self.recipe.baselines(study)
        if baselines:
            found.append(Finding("baselines_apart", {"models": ", ".join(baselines)}))
        return tuple(found)

    def _roster(self) -> Roster:
        """Who agreed and the order of rows, made once in an attempt (exchanges 1 to 4, or 1 without alignment).

        Answers are in memory alone: the pseudonyms are sealed for a key that is never on the hub's disk.
        """

        def make() -> Payload:
            exchange, study, hub = self.exchange, self.study, self.hub
            with exchange.in_memory():
                agreed = agree(exchange, study, hub, self.research_seed)
                self.agreed = True
                self.recipe.members(study, roster_features(study, agreed))
                sample = planned(study, agreed, self._known().plan).sample_rows
                if not self.recipe.aligned(study):
                    return without_alignment(exchange, study, hub, agreed, self.research_seed)
                return align(exchange, study, hub, agreed, self.research_seed, sample).to_payload()

        kept = self.exchange.once(ALIGNED, make)
        tell_members(self.exchange, self.study, kept)
        return Roster.from_payload(self.study, self.research_seed, kept)

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
    return recipe.without(study, left_out)


def _check_overlap(exchange: Exchange, roster: Roster) -> None:
    """Errors of ``check_overlap``; those whom it concerns are told with the end of the attempt."""
    try:
        check_overlap(roster)
    except DataError:
        exchange.close(little_in_common(roster))
        raise


def _goes_on(error: BaseException) -> bool:
    """Whether a run that was stopped by this can go on: not where somebody refused, or it would only fail again."""
    if isinstance(error, LostError | StoreError):
        return True
    return not isinstance(error, FedriskError)
