"""A hub with finished scorecard runs in its store, as if they had been run: entry and signed record."""

from dataclasses import replace
from functools import cache

from fedrisk.analysis.past_studies import KEPT
from fedrisk.recipes import study_from
from fedrisk.server.runs import Log, Runs, entry
from support.card_record import card_record


@cache
def bare(few=False):
    return card_record(4000, few=few, epsilon=3.0)


def finished(hub, name, day, *, research=False, kept=True, few=False, **changes):
    """One run of study ``name`` that ended on that day of January 2026; its record. changes: of the study's content."""
    record = bare(few)
    study = study_from({**record.study, "name": name, **changes})
    attempt = f"{name}{day:02d}".replace("_", "").ljust(12, "0")
    record = replace(
        record,
        study=study.model_dump(mode="json"),
        study_digest=study.digest(),
        attempt=attempt,
        research=research,
        context={KEPT: True} if kept else {},
    ).signed(hub.identity)
    run = entry(study, study, attempt, engine="in-process", research=research, out=None)
    folder = Runs(hub).path / attempt
    folder.mkdir(parents=True)
    record.save(folder)
    ended = f"2026-01-{day:02d}T00:00:00.000000Z"
    Log(folder, replace(run, state="finished", results="whole", begun=ended, ended=ended)).write()
    return record


def later(name="later", *, changes=None, **settings):
    """A study of the same institutions, with these settings; changes: of its content."""
    changes = changes or {}
    content = {key: value for key, value in bare().study.items() if key != "settings"}
    return study_from({**content, "name": name, "scorecard": settings, **changes})
