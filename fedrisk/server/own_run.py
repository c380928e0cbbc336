"""Which run of this hub a file is of that a study names, and what may not be taken from it."""

from pathlib import Path

from fedrisk.analysis.past_studies import label_of
from fedrisk.attempt_id import short
from fedrisk.errors import ConfigError
from fedrisk.releases.record import ReleaseRecord
from fedrisk.server.hub import Hub
from fedrisk.server.runs import Run, Runs
from fedrisk.study import Study


def refuse_other_label(where: str, study: Study, run: Run | None) -> None:
    """ConfigError where a file of a run of this hub is about another label than the study."""
    if run is not None and label_of(run.content) != study.label_name:
        raise ConfigError(
            f'{where} is of run {short(run.attempt)} of study {run.study}, about label "{label_of(run.content)}", and '
            f'this study is about "{study.label_name}"; take a study of the same label'
        )


def own_run(path: Path, hub: Hub) -> Run | None:
    """The run of this hub whose record, or very card, a file holds; None where it is of none."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    runs = Runs(hub)
    if content[:2] == b"PK":
        record = ReleaseRecord.from_bytes(content)
        return runs.find(record.attempt) if record.attempt in runs.attempts() else None
    kept = (runs.path / attempt / "scorecard.json" for attempt in runs.attempts())
    same = (k.parent.name for k in kept if k.is_file() and k.read_bytes() == content)
    return next((runs.find(attempt) for attempt in same), None)
