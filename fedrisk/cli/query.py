"""``fedrisk query``: a figure by categories, for a person in a hurry, who sees the price first."""

import contextlib
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import alert, err, note, screen, tell, tell_json, tell_table
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.engine.query import Query
    from fedrisk.recipes.statistics.asked import Shown
    from fedrisk.server.results import Results

Text = Annotated[
    str,
    typer.Argument(
        metavar="QUESTION",
        help='What to ask, for example "mean(load_growth) by county, sector", or as SQL: '
        '"SELECT count(*) FROM bank GROUP BY county".',
        show_default=False,
    ),
]
Epsilon = Annotated[
    float,
    typer.Option(
        "--epsilon", help="Price: the privacy budget that it takes at each institution asked, for example .2."
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Whose columns are meant where the question names no owner: an institution, offices, or bank (all banks); "
        "for example power_utility.",
    ),
]
Folder = Annotated[
    Path,
    typer.Option("--institutions", help="Folder of the institution files, for example demo/institutions."),
]
Levels = Annotated[
    Path | None,
    typer.Option(
        "--levels",
        help="File with sections levels (prefectures of counties) and offices, for example levels.toml.",
    ),
]
Keep = Annotated[
    Path | None, typer.Option("--study", help="Keep the study's file here, for example studies/growth.toml.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for the results and their report, for example results/growth."),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask before it is charged, for example in a script.")
]
Look = Annotated[
    bool,
    typer.Option(
        "--look", help="Show study, price and expected error, and stop: nobody is asked or charged."
    ),
]
Purpose = Annotated[
    str | None,
    typer.Option(
        help="Purpose, which policies have to allow, for example statistics; default: that, or what all allow."
    ),
]
Delta = Annotated[float | None, typer.Option(help="Delta of the price; default: 1e-6. For example 1e-7.")]
Like = Annotated[
    Path | None,
    typer.Option(
        "--like",
        help="A study file whose purpose, delta and key of pseudonyms are taken, for example study.toml.",
    ),
]
Listed = Annotated[
    str | None,
    typer.Option(
        help="Where owners differ: whose enterprises are counted, for example bank, or a data holder."
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Ask, and pay for, a question that was asked before.")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the same question where it was stopped: what was charged is not charged again; for example "
        'fedrisk query "count(*) from power" --epsilon 1 --resume.',
    ),
]
ResearchSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Repeatable noise: NO PRIVACY. Where every policy says research = true; for example 1.",
    ),
]
HubOption = Annotated[
    Path | None,
    typer.Option(
        "--hub",
        help="Of a consortium: write the study (--study) and say how it is proposed, for example /srv/hub.",
    ),
]


def query(
    question: Text,
    epsilon: Epsilon,
    source: Source = None,
    institutions: Folder = Path("institutions"),
    levels: Levels = None,
    study_file: Keep = None,
    folder: Out = None,
    yes: Yes = False,
    look: Look = False,
    purpose: Purpose = None,
    delta: Delta = None,
    listed: Listed = None,
    like: Like = None,
    again: Again = False,
    resume: Resume = False,
    research_seed: ResearchSeed = None,
    hub: HubOption = None,
    as_json: AsJson = False,
) -> None:
    """Ask one question of institutions on this machine: price and expected error first, then the figures.

    Figures: count(*), sum, mean, share(column = 'value'), variance, median, quantile. By categories of one owner's
    columns. docs/statistics.md says what can be asked, and what figures do not say.
    """
    from fedrisk.engine.query import make_query

    made = make_query(
        question,
        institutions,
        epsilon=epsilon,
        source=source,
        delta=delta,
        purpose=purpose,
        listed=listed,
        extras=levels,
        like=like,
    )
    for line in made.text.splitlines():
        note(f"  {line}")
    with _study_file(made, study_file) as file:
        if hub is not None:
            _say_how(file, hub, kept=study_file is not None)
            return
        _show_price(made, research_seed)
        if look:
            return
        if not yes:
            _ask(made, epsilon)
        results = _run(made, file, folder, research_seed, again=again, resume=resume)
    _show(results, made.asked.shown, folder, as_json)


@contextlib.contextmanager
def _study_file(made: "Query", kept: Path | None) -> Iterator[Path]:
    """The study's file: where it is to be kept, or one that is gone afterwards."""
    from fedrisk.cli.starting_files import write_new

    if kept is not None:
        write_new(kept, made.text, force=kept.exists() and kept.read_text(encoding="utf-8") == made.text)
        note(_("study file: {kept}", kept=kept))
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="fedrisk-query-") as place:
        file = Path(place) / f"{made.study.name}.toml"
        file.write_text(made.text, encoding="utf-8")
        yield file


def _say_how(file: Path, hub: Path, *, kept: bool) -> None:
    from fedrisk.errors import ConfigError

    if not kept:
        raise ConfigError(
            "--hub needs --study, the file that is proposed; for example --study studies/growth.toml"
        )
    place, study = shlex.quote(str(hub)), shlex.quote(str(file))
    tell(
        _(
            "propose it: fedrisk hub submit {place} {study} --wait --out results/{stem}",
            place=place,
            study=study,
            stem=file.stem,
        )
    )
    note(
        _(
            "would members refuse, by what is public? See fedrisk hub check {place} {study}",
            place=place,
            study=study,
        )
    )


def _show_price(made: "Query", research_seed: int | None) -> None:
    """What each institution pays and has left, and what figures to expect; Exit 1 where it would be refused."""
    from fedrisk.cli.query_screen import expectation_table, price_table, silent_words
    from fedrisk.engine.query import price

    priced = price(made, research_seed=research_seed)
    if not screen.quiet:
        err.print(price_table(priced.prices, made.study))
        if priced.expected:
            err.print(expectation_table(priced.expected, priced.rows))
            alert(silent_words(priced.expected))
    reasons = [*priced.found.refused, *(text for line in priced.found.institutions for text in line.refused)]
    for line in priced.found.institutions:
        reasons += [f"{line.name}: {check}" for check in line.errors]
    if reasons:
        from fedrisk.errors import PolicyError

        raise PolicyError(
            "\n".join(["this would be refused, and nobody was asked:", *(f"  {r}" for r in reasons)])
        )


def _ask(made: "Query", epsilon: float) -> None:
    from fedrisk.errors import ConfigError

    if not sys.stdin.isatty():
        raise ConfigError(
            "nobody is there to say yes; --yes asks and charges at once, --look shows the price alone"
        )
    who = ", ".join(made.study.members)
    if not typer.confirm(
        _("Ask, and charge epsilon {epsilon:g} at {who}?", epsilon=epsilon, who=who), default=False, err=True
    ):
        raise typer.Exit(0)


def _run(
    made: "Query", file: Path, folder: Path | None, research_seed: int | None, *, again: bool, resume: bool
) -> "Results":
    from fedrisk import api
    from fedrisk.cli.progress import Progress

    if research_seed is not None:
        err.print(_("[bold white on red] research run: no privacy [/]"))
    with Progress().watching() as progress:
        return api.run(
            file,
            out=folder,
            institutions=dict(made.paths),
            research_seed=research_seed,
            again=again,
            resume=resume,
            report=progress.exchange,
        )


def _show(results: "Results", shown: "Shown", folder: Path | None, as_json: bool) -> None:
    """The figures that were asked for, on standard output."""
    from fedrisk.analysis.estimates import estimates
    from fedrisk.analysis.result_files import plain_rows
    from fedrisk.cli.query_screen import estimates_table, figures_of, picked
    from fedrisk.errors import ConfigError

    if results.record is None:
        raise ConfigError("the run left no release record; see fedrisk runs")
    found = estimates(results.record)
    frame = picked(found.frame, shown)
    if as_json:
        tell_json(
            {
                "study": results.study,
                "run": results.attempt,
                "research": found.research,
                "level": found.level,
                "rows": plain_rows(found, figures_of(frame, shown.axes)),
            }
        )
    else:
        tell_table(estimates_table(frame, shown.axes, found.level, results.study))
    note(
        _(
            "run {attempt}; again at no charge: fedrisk runs export {attempt} --out DIR",
            attempt=results.attempt,
        )
    )
    if folder is not None:
        note(_("results in {folder}", folder=folder))
