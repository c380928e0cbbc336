"""fedrisk from Python: check and run a study, and read what it left. The commands do nothing else.

>>> import fedrisk
>>> callable(fedrisk.run) and callable(fedrisk.load_record)
True
"""

import contextlib
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from fedrisk.attempt_id import short
from fedrisk.engine.baselines import run_baselines
from fedrisk.engine.card_files import CardOnDisk, find_card, load_record_of, save_edited
from fedrisk.engine.check import check_member, check_study
from fedrisk.engine.checked import Check
from fedrisk.engine.given import Given, Institutions
from fedrisk.engine.in_process import charged_by, load_nodes, run_local, what_is_left
from fedrisk.engine.look_up import BankKept, look_up
from fedrisk.engine.simulation import run_simulation
from fedrisk.errors import ConfigError, FedriskError, LeftUndone, Stopped, StoreError, code_of
from fedrisk.institution import Institution, find_institutions, load_institution
from fedrisk.models.card_edit import CardEdit
from fedrisk.models.edited_card import EditedCard
from fedrisk.recipes import load_study as load_study
from fedrisk.recipes import recipe_of
from fedrisk.recipes.scorecard.card_editing import edit_card as make_edited
from fedrisk.recipes.scorecard.card_editing import verify_card as verify_edited
from fedrisk.recipes.scorecard.choices import Chosen
from fedrisk.recipes.scorecard.fitting import refit
from fedrisk.releases.record import ReleaseRecord
from fedrisk.report.html import write_report
from fedrisk.report.run_progress import ShownProgress
from fedrisk.results import Results
from fedrisk.server.exchange import Report
from fedrisk.server.hub import Hub
from fedrisk.server.results import prepare
from fedrisk.server.run import finished
from fedrisk.server.runs import Runs, refuse_again, save
from fedrisk.study import Study
from fedrisk.study_file import members_named


def check(
    study: str | Path | Study,
    overrides: Sequence[str] = (),
    *,
    institutions: Institutions = None,
    alone: str | Path | Institution | None = None,
    research_seed: int | None = None,
    foresee: bool = False,
) -> Check:
    """Whether a study would be refused, what it would cost, and what to expect; nothing is released or spent.

    study: path of a study file, or a `Study`. overrides: ``key.sub=value``, as after ``--set``. institutions: as for
    :func:`run`. alone: one institution, or its file, which looks for itself; no other institution's file is read.
    research_seed: as of a research run. foresee: also the AUC to be expected, from simulated studies, which takes
    seconds.

    Errors: ConfigError where files cannot be read: the study's and all institutions' together.
    """
    broken, paths, given = list[str](), dict[str, Path](), None
    try:
        given = Given.of(study, overrides)
        if alone is not None:
            return check_member(given.study, given.alone(alone), research_seed=research_seed)
        paths = dict(given.paths(institutions))
    except ConfigError as error:
        if alone is not None or isinstance(study, Study):
            raise
        broken.append(str(error))
        paths = dict(_files_beside(Path(study), institutions))
    if given is not None and not broken:
        return check_study(given.study, paths, research_seed=research_seed, foresee=foresee)
    for path in paths.values():
        try:
            load_institution(path)
        except ConfigError as error:
            broken.append(str(error))
    raise ConfigError("\n".join(broken))


def plan(
    study: str | Path | Study,
    overrides: Sequence[str] = (),
    *,
    institutions: Institutions = None,
) -> Chosen:
    """Choices of bins, columns and budget by which a scorecard study is expected to gain; nothing is released or spent.

    Errors: ConfigError where the study would be refused, is no scorecard, or does not declare its size.
    """
    found = check(study, overrides, institutions=institutions)
    choose = recipe_of(found.content).choose
    if choose is None:
        raise ConfigError(f"study {found.study} has nothing to choose; scorecard studies alone are planned")
    if found.broken or found.known is None or not found.stated:
        raise ConfigError(
            f"study {found.study} would be refused; see fedrisk check, and plan it once it is not"
        )
    return choose(found.known, found.stated, found.listed)


def run(
    study: str | Path | Study,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    institutions: Institutions = None,
    engine: Literal["in-process", "flower"] = "in-process",
    research_seed: int | None = None,
    baselines: bool | None = None,
    resume: bool = False,
    again: bool = False,
    report: Report | None = None,
    progress: bool = False,
) -> Results:
    """Run a study on this machine, every institution a Flower node with its file, store and policy.

    study: path of a study file, or a `Study`. overrides: ``key.sub=value``, as after ``--set``, for a file.
    institutions: a folder with NAME.toml for each, files or `Institution` objects by name, or a list of such objects;
    None looks beside the study file. Those made in code are written, with their tables, to a folder below
    FEDRISK_HOME, one for all studies. out: folder for results, release record and report; None writes them to the
    hub's own store alone (``fedrisk runs``). Banks keep their scores in their stores. engine: in this process, or the
    same app on Flower's simulation engine. research_seed: repeatable noise and exact figures, NO PRIVACY; only where
    every policy allows research. baselines: run the recipe's baselines on the same rows as well, each charged as a
    study of its own; None does so in research runs alone. resume: go on with a run that was stopped, at no further
    charge for what was paid. again: run and charge a study that was run before, and overwrite results in ``out``.
    report: called before each exchange with its number, action and a few words; what it raises is ignored. progress:
    show the exchanges, in a notebook as one line that changes, else as lines on standard error.

    What is optional and fails (the report, baselines, the comparison of trails) is a warning or a finding; the results
    are there all the same.

    Errors: PeerError where an institution refuses or is lost, ConfigError, DataError; nothing is released before all
    agree. ConfigError where the study was run before, or ``out`` holds results, and ``again`` is not said. StoreError
    where the results cannot be written to ``out``: it names the command that writes them elsewhere, at no charge.
    """
    with ShownProgress().watching(report) if progress else contextlib.nullcontext(report) as shown:
        return _run(
            Given.of(study, overrides),
            Path(out) if out is not None else None,
            institutions,
            engine=engine,
            research_seed=research_seed,
            baselines=baselines,
            resume=resume,
            again=again,
            report=shown,
            plain=not overrides,
        )


def _run(
    given: Given,
    folder: Path | None,
    institutions: Institutions,
    *,
    engine: Literal["in-process", "flower"],
    research_seed: int | None,
    baselines: bool | None,
    resume: bool,
    again: bool,
    report: Report | None,
    plain: bool,
) -> Results:
    """See :func:`run`; plain: whether the study is as its file says."""
    start, loaded, hub = time.monotonic(), given.study, Hub.default()
    paths = given.paths(institutions) if given.file is None else None
    if not resume:
        refuse_again(Runs(hub), loaded, research=research_seed is not None, again=again)
        _warn_of_failed(Runs(hub), given, paths or institutions)
    if folder is not None:
        prepare(folder, again=again)
    if engine == "flower":
        if given.file is None or not plain or institutions is not None or resume or folder is None:
            raise ConfigError(
                "the flower engine needs a folder for results and takes no overrides, other institutions or resume; "
                "write a study file"
            )
        results = Results.of(run_simulation(given.file, folder, research_seed=research_seed))
    else:
        paths = paths or given.paths(institutions)
        results = Results.of(
            run_local(loaded, paths, research_seed=research_seed, report=report, resume=resume, out=folder)
        )
    with _stopped_late(results):
        if engine != "flower" and (baselines if baselines is not None else research_seed is not None):
            # They may take long: first what is there.
            _write(results, folder, hub, start, again=again)
            results = Results.of(
                run_baselines(
                    results, loaded, lambda other: run_local(other, paths or {}, research_seed=research_seed)
                )
            )
        return _write(results, folder, hub, start, again=again)


@contextlib.contextmanager
def _stopped_late(results: Results) -> Iterator[None]:
    """Ctrl-C once the study itself is finished: said beside what a baseline says of itself."""
    try:
        yield
    except KeyboardInterrupt as error:
        said = [str(error)] if isinstance(error, Stopped) else []
        raise Stopped("\n".join([*said, finished(results)])) from None


def _write(results: Results, folder: Path | None, hub: Hub, start: float, *, again: bool) -> Results:
    """The results with their time, written at the hub and to ``folder`` with their report."""
    results = replace(results, seconds=round(time.monotonic() - start, 2))
    with contextlib.suppress(StoreError):
        Runs(hub).save(results)
    if folder is None:
        return results
    save(results, folder, Runs(hub), again=again)
    try:
        write_report(results, folder)
    except Exception as error:
        Runs(hub).note(results.attempt, "report", error)
        warnings.warn(
            f"the report could not be written ({code_of(error)}); the results are in {folder}, and "
            f"`fedrisk show {folder}` writes the report again",
            LeftUndone,
            stacklevel=4,
        )
    return results


def _warn_of_failed(runs: Runs, given: Given, institutions: Institutions) -> None:
    """Say that the last run of exactly this study failed after it was charged: nothing of that comes back."""
    last = next(iter(reversed(runs.of(given.study))), None)
    if last is None or last.state in ("finished", "running"):
        return
    left, charged = list[str](), last.charged
    with contextlib.suppress(FedriskError):
        nodes = load_nodes(given.paths(institutions))
        left, charged = what_is_left(last, nodes), charged_by(last, nodes)
    if not charged:
        return
    kept = "".join(f". {line}" for line in left)
    warnings.warn(
        f"run {short(last.attempt)} of this study, begun {last.begun[:10]}, {last.state} after "
        f"{', '.join(charged)} were charged; that stays charged, and this run is charged as well{kept}",
        LeftUndone,
        stacklevel=4,
    )


def kept_by_banks(
    results: Results, study: str | Path | Study, *, institutions: Institutions = None
) -> tuple[BankKept, ...]:
    """What each bank of a run on this machine has of it in its own store, read back now.

    study, institutions: as they were given to :func:`run`.
    """
    if isinstance(study, Study) or (institutions is not None and not isinstance(institutions, str | Path)):
        return look_up(results, Given.of(study).paths(institutions))
    return look_up(results, find_institutions(Path(study), tuple(results.institutions), institutions))


def load_results(folder: str | Path) -> Results:
    """The results of a finished run; ConfigError where the folder holds none."""
    return Results.load(Path(folder))


def load_record(path: str | Path, *, hub: bytes | None = None) -> ReleaseRecord:
    """The release record of a finished run, verified; ``path``: its folder, or the file.

    hub: the hub's pinned Ed25519 key; without it the signature shows only that the file is as its signer made it.
    Errors: ConfigError where it cannot be read, EnvelopeError where it is not what the hub signed.
    """
    return ReleaseRecord.load(Path(path), hub=hub)


def edit_card(
    of: str | Path | ReleaseRecord | Results | EditedCard,
    edits: CardEdit | Sequence[CardEdit],
    *,
    record: str | Path | ReleaseRecord | None = None,
    out: str | Path | None = None,
) -> EditedCard:
    """A released card after edits, with its history and what each edit costs; nothing is released or charged.

    of: a folder of results, a run of this hub, an edited card's folder, results, a record, or a card that was edited
    already. edits: in order, each on top of those before it. record: the release record, where ``of`` is an edited card
    by itself. out: a new folder for the card; None keeps it in memory.

    Errors: ConfigError where an edit lacks its reason or author, names what the card has not, or would change nothing;
    EnvelopeError where the record is not what its hub signed.
    """
    found = _card_of(of)
    source = found.record if record is None else _record_of(record)
    if source is None:
        raise ConfigError(
            "the release record is not beside the card, and weights cannot be solved again without it; name it, or "
            "ask the hub's operator for the folder of the run"
        )
    released = found.card if found.edited is None else None
    chosen = (edits,) if isinstance(edits, CardEdit) else tuple(edits)
    card = make_edited(source, chosen, before=found.edited, released=released)
    if out is not None:
        save_edited(card, source, Path(out))
    return card


def verify_card(
    card: str | Path | EditedCard, *, record: str | Path | ReleaseRecord | None = None
) -> list[str]:
    """What does not fit of an edited card's history, in words; empty where all does.

    With a record (that of the card's folder, or ``record``) also whether its edits lead to this very card.
    """
    found = _card_of(card)
    source = found.record if record is None else _record_of(record)
    if found.edited is None or not (found.edited.history or source):
        raise ConfigError(f"{found.place}: the card was never edited, and has no history to verify")
    return verify_edited(found.edited, source)


def _card_of(of: str | Path | ReleaseRecord | Results | EditedCard) -> CardOnDisk:
    if isinstance(of, str | Path):
        return find_card(str(of))
    if isinstance(of, EditedCard):
        return CardOnDisk(place=Path(), card=of.card, edited=of)
    if isinstance(of, ReleaseRecord):
        return CardOnDisk(place=Path(), card=refit(of), record=of)
    if of.card is None:
        raise ConfigError(f"study {of.study} left no scorecard that could be edited")
    return CardOnDisk(place=Path(), card=of.card, record=of.record)


def _record_of(record: str | Path | ReleaseRecord) -> ReleaseRecord:
    return record if isinstance(record, ReleaseRecord) else load_record_of(str(record))


def _files_beside(file: Path, institutions: Institutions) -> Mapping[str, Path]:
    """Institution files where the study cannot say whose they are: those of its folder that it names, if any."""
    if institutions is not None and not isinstance(institutions, str | Path):
        given = institutions.items() if isinstance(institutions, Mapping) else ()
        return {name: path for name, path in given if isinstance(path, Path)}
    folder = Path(institutions or file.resolve().parent / "institutions")
    named = members_named(file)
    found = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {name: path for name, path in found.items() if not named or name in named}
