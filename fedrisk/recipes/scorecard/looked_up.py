"""At the hub: which earlier studies a study remembers, and where its curves from elsewhere come from.

Looked up once, when a study is run or proposed, and stated in it: members approve what they read, and running it later
finds the same. Only the hub's own runs are remembered, by records that it signed: it held out the same enterprises in
all of them, and members kept what they can compare (clients/store). Curves from elsewhere are a prior instead.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from fedrisk.analysis.past_studies import label_of, not_to_be_remembered, past_study
from fedrisk.attempt_id import short
from fedrisk.errors import ConfigError, EnvelopeError, StoreError
from fedrisk.findings import Finding
from fedrisk.models.anchors import Anchor
from fedrisk.models.knowledge import Knowledge, PastStudy
from fedrisk.models.knowledge_file import MOST_STUDIES
from fedrisk.recipes.scorecard.anchoring import anchors_of
from fedrisk.recipes.scorecard.brought import said_before
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.recipes.scorecard.prior_files import find_prior
from fedrisk.recipes.scorecard.remembering import stated
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.releases.record import ReleaseRecord
from fedrisk.server import knowledge
from fedrisk.server.hub import Hub
from fedrisk.server.knowledge import Beforehand
from fedrisk.server.own_run import own_run, refuse_other_label
from fedrisk.server.runs import Run, Runs
from fedrisk.study import Study

_WHY = {
    "recipe": "made no scorecard",
    "research": "was a research run: its numbers have no privacy, and enter no study that has any",
    "private": "had privacy, and a research run holds out other enterprises",
    "same": "is an attempt at this very study",
    "purpose": "was for another purpose",
    "label": "was about another label, and default, distress or late payment are different things to learn",
    "apart": "has no institution in common with this study",
    "strangers": "has numbers of an institution that is not here, which others who are here were never told",
    "holdout": "trained on enterprises that this study holds out ([holdout] is another one)",
    "early": "was run by an earlier version, and its members kept nothing by which they could check it",
}


def look_up(study: Study, hub: Hub, research: bool) -> Beforehand:
    """The study with what it knows beforehand stated in it, and that knowledge; nothing is written.

    ConfigError where an earlier study or a file that it names is not there, or may not be used; StoreError where what
    is stated already is not in the hub's store.
    """
    settings = ScorecardSettings.of(study)
    if settings.known is not None:
        digest = settings.known.digest
        known = Knowledge() if digest is None else knowledge.load(hub, digest)
        if stated(known) != settings.known:
            raise ConfigError(
                "what the study states of earlier studies is not what the hub keeps under that digest; propose the "
                "study again from its file"
            )
        return _beforehand(study, known, anchors=_anchors(known, settings, hub))
    if not settings.asks_before:
        return Beforehand(study=study, plan=make_plan)
    memory, findings = _memory(study, settings, hub, research)
    prior = None if settings.prior is None else find_prior(settings.prior, research, study.label_name)
    if prior is not None:
        _refuse_own(str(settings.prior), study, hub)
    known = Knowledge(memory=memory, prior=prior)
    full = settings.model_copy(update={"known": stated(known)})
    whole = study.model_copy(update={"settings": full.model_dump(mode="json")})
    if settings.memory == "auto" and not memory:
        findings.append(Finding("memory_empty"))
    return _beforehand(whole, known, findings, _anchors(known, settings, hub))


def _anchors(known: Knowledge, settings: ScorecardSettings, hub: Hub) -> tuple[Anchor, ...]:
    """What the evaluations of remembered studies said, or the prior's, as far as the hub has them still."""
    runs, records = Runs(hub), []
    for past in known.memory:
        try:
            records.append(_record(runs.find(past.attempt), hub, runs))
        except (ConfigError, EnvelopeError, StoreError):
            continue
    return anchors_of(records, settings.prior)


def _refuse_own(name: str, study: Study, hub: Hub) -> None:
    """ConfigError where a prior is a study of this hub that an institution of this study was in.

    Its enterprises are this study's own, so that it is no second opinion: taken as one beside the memory of it, points
    would seem nearly certain. Memory also looks at purpose and hold-out, which a file cannot be asked for.
    """
    own = own_run(Path(name), hub)
    refuse_other_label(f"scorecard.prior: {name}", study, own)
    members = {str(m["name"]) for m in (own.content["institutions"] if own else ())}
    if own is not None and members & {*study.banks, *study.holders}:
        raise ConfigError(
            f"scorecard.prior: {name} is of run {short(own.attempt)} of study {own.study}, of this hub and of the same "
            f'institutions; state memory = "{own.study}" instead, which counts its enterprises once'
        )


def _beforehand(
    study: Study, known: Knowledge, findings: Sequence[Finding] = (), anchors: tuple[Anchor, ...] = ()
) -> Beforehand:
    return Beforehand(
        study=study,
        knowledge=known,
        plan=partial(make_plan, known=known),
        findings=(*said_before(known), *findings),
        anchors=anchors,
    )


def finished_named(name: str, hub: Hub) -> PastStudy:
    """What a finished study of this hub released, by its name, run or record; ConfigError where there is none."""
    runs = Runs(hub)
    run = _finished(name, hub, runs)
    return past_study(_record(run, hub, runs), str(run.ended))


def aim_of(past: PastStudy, hub: Hub) -> tuple[str, str]:
    """For what purpose institutions released it, and of which label."""
    content = Runs(hub).find(past.attempt).content
    return str(content["purpose"]), label_of(content)


def finished_records(names: Sequence[str], hub: Hub) -> list[ReleaseRecord]:
    """Records of finished studies of this hub, oldest first, by names, runs or records; of all where none is named.

    Research runs are left out where none is named. ConfigError where one is not there.
    """
    runs = Runs(hub)
    every = [r for r in runs.all() if r.state == "finished" and r.recipe == "scorecard" and not r.research]
    found = [_finished(name, hub, runs) for name in names] if names else every
    return [_record(run, hub, runs) for run in sorted(found, key=lambda r: (str(r.ended), r.attempt))]


def all_finished(hub: Hub) -> list[PastStudy]:
    """What all finished scorecard studies of this hub released, oldest first; research runs left out."""
    runs = Runs(hub)
    return [
        past_study(_record(run, hub, runs), run.ended)
        for run in runs.all()
        if run.state == "finished"
        and run.recipe == "scorecard"
        and not run.research
        and run.ended is not None
    ]


def _memory(
    study: Study, settings: ScorecardSettings, hub: Hub, research: bool
) -> tuple[tuple[PastStudy, ...], list[Finding]]:
    runs, findings = Runs(hub), list[Finding]()
    if settings.memory == "none":
        return (), []
    if settings.memory == "auto":
        found = list(_fitting(study, hub, runs, research, findings))
    else:
        found = [_named(name, study, hub, runs, research) for name in settings.memory]
        twice = [past.study for k, past in enumerate(found) if past.attempt in {p.attempt for p in found[:k]}]
        if twice:
            raise ConfigError(
                f"scorecard.memory: study {twice[0]} is named twice; name each earlier study once"
            )
    return tuple(sorted(found, key=lambda past: (past.ended, past.attempt))), findings


def _fitting(
    study: Study, hub: Hub, runs: Runs, research: bool, findings: list[Finding]
) -> Iterator[PastStudy]:
    """The newest earlier studies that fit; of those that nearly do, why not."""
    own = {run.attempt for run in runs.of(study)}
    taken = 0
    for run in reversed(runs.all()):
        near = run.state == "finished" and run.results == "whole" and run.recipe == study.recipe
        if not near or run.attempt in own or run.research != research or taken == MOST_STUDIES:
            continue
        try:
            record = _record(run, hub, runs)
            why = not_to_be_remembered(record, study, research=research)
            past = None if why is not None else past_study(record, str(run.ended))
        except (ConfigError, EnvelopeError):
            why, past = "damaged", None
        if past is not None:
            taken += 1
            yield past
        elif why in ("strangers", "label", "holdout", "early", "damaged"):
            findings.append(_left_out(run, why))


def _named(name: str, study: Study, hub: Hub, runs: Runs, research: bool) -> PastStudy:
    """One earlier study by its name, its run or its record; ConfigError where it is not there or may not be used."""
    run = _finished(name, hub, runs)
    try:
        record = _record(run, hub, runs)
    except EnvelopeError as error:
        raise ConfigError(f"scorecard.memory: {name}: {error}") from None
    why = "same" if run in runs.of(study) else not_to_be_remembered(record, study, research=research)
    if why is not None:
        raise ConfigError(
            f"scorecard.memory: study {run.study} (run {short(run.attempt)}) cannot be remembered: it {_WHY[why]}; "
            "take it out of memory"
        )
    return past_study(record, str(run.ended))


def _finished(name: str, hub: Hub, runs: Runs) -> Run:
    run = _run_of(name, hub, runs)
    if run.state != "finished" or run.ended is None:
        raise ConfigError(
            f"scorecard.memory: run {short(run.attempt)} of study {run.study} is {run.state}; finished studies alone "
            "are remembered"
        )
    return run


def _run_of(name: str, hub: Hub, runs: Runs) -> Run:
    path = Path(name)
    if path.exists():
        # Whose record it is its signature says; the run's own entry says when it ended.
        try:
            attempt = ReleaseRecord.load(path, hub=hub.identity.public).attempt
        except EnvelopeError as error:
            raise ConfigError(
                f"scorecard.memory: {name}: {error}. A study remembers studies of its own hub; what is known from "
                "elsewhere is a prior (scorecard.prior)"
            ) from None
        if attempt not in runs.attempts():
            raise ConfigError(
                f"scorecard.memory: {name} is of run {short(attempt)}, of which the hub has no entry; name a run that "
                "fedrisk runs lists"
            )
        return runs.find(attempt)
    called = [run for run in runs.all() if run.study == name and run.state == "finished"]
    if called:
        return called[-1]
    try:
        return runs.find(name)
    except ConfigError as error:
        raise ConfigError(
            f"scorecard.memory: no finished study, file or run is called {name}: {error}"
        ) from None


def _record(run: Run, hub: Hub, runs: Runs) -> ReleaseRecord:
    return ReleaseRecord.load(runs.path / run.attempt, hub=hub.identity.public)


def _left_out(run: Run, why: str) -> Finding:
    return Finding(f"memory_left_out_{why}", {"study": run.study, "run": short(run.attempt)})
