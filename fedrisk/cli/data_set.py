"""``fedrisk data-set``: what a data set of the laboratory states, and a folder on which its study is run by hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, plain_table, tell, tell_json, tell_table
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.lab.data_set import DataSet
    from fedrisk.lab.holdings import Holding

data_set_app = typer.Typer(
    no_args_is_help=True,
    help="Data sets of the laboratory, each stated by a file alone: show them, prepare a folder for one study.",
)

Said = Annotated[
    str, typer.Argument(help="Name of a data set, or its file, for example taiwan or mine.toml.")
]


@data_set_app.command()
def show(
    data_set: Annotated[
        str | None,
        typer.Argument(help="Name of a data set, or its file, for example taiwan or mine.toml; all without."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What a data set states: source, licence, who holds what, what is left out; for example data-set show taiwan.

    Nothing is read of its rows.
    """
    from fedrisk.lab.data_set import load_data_set
    from fedrisk.lab.data_set_file import data_set_names

    sets = [load_data_set(name) for name in ([data_set] if data_set else data_set_names())]
    if as_json:
        stated = [one.rules.model_dump(mode="json", exclude_defaults=True) for one in sets]
        tell_json([{**content, "file": one.file} for content, one in zip(stated, sets, strict=True)])
        return
    if data_set:
        _show(sets[0])
        return
    table = plain_table("", "name", "title", "licence", whole=("name",))
    for one in sets:
        table.add_row(one.name, one.rules.title, one.rules.licence)
    tell_table(table)


@data_set_app.command()
def prepare(
    data_set: Said,
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder that is written, for example work/taiwan.", show_default=False),
    ],
    seed: Annotated[
        int,
        typer.Option(min=0, help="Draws the rows and, where it is simulated, the province; for example 2."),
    ] = 1,
    institutions: Annotated[
        int | None,
        typer.Option(
            min=1, help="Only the first so many institutions take part, for example 2; default: all."
        ),
    ] = None,
    bins: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=64,
            help="Bins of each number whose edges the dictionary leaves open, for example 8; default: as it says.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write tables, institution files and a study; for example fedrisk data-set prepare taiwan --out work/taiwan.

    Policies allow research runs, since the data are public or simulated.
    """
    from fedrisk.lab.data_set import load_data_set

    made = load_data_set(data_set).prepare(out, seed=seed, institutions=institutions, bins=bins)
    if as_json:
        tell_json(
            {
                "study": made.study,
                "institutions": made.institutions,
                "digest": made.digest,
                "rows": made.rows,
            }
        )
        return
    tell(_("{rows:,} rows at banks, digest {digest}", rows=made.rows, digest=made.digest[:16]))
    note(
        _(
            "next: FEDRISK_HOME={home} fedrisk run {study} --out {results} --research-seed 1",
            home=out / "home",
            study=made.study,
            results=out / "results",
        ),
        style=None,
    )


def _show(one: "DataSet") -> None:
    from fedrisk.lab.holdings import holdings

    rules = one.rules
    tell(f"{rules.name}: {rules.title}")
    tell(_("source: {citation}; licence: {licence}", citation=rules.citation, licence=rules.licence))
    tell(_("file: {file}", file=one.file))
    if rules.province is not None:
        tell(
            _(
                "simulated when it is prepared: profile {profile}, {enterprises:,} enterprises",
                profile=rules.province.profile,
                enterprises=rules.province.enterprises,
            )
        )
    for text in _drawn(one):
        tell(text)
    if held := holdings(rules):
        table = plain_table("", "name", "role", "columns", "which rows", whole=("name",))
        for h in held:
            table.add_row(h.name, h.role, _columns(h), _rows(h, one))
        tell_table(table)
    if rules.left_out:
        table = plain_table(_("left out"), "column", "why", whole=("column",))
        for column, why in rules.left_out.items():
            table.add_row(column, why)
        tell_table(table)


def _drawn(one: "DataSet") -> list[str]:
    """What is drawn of the rows, in sentences."""
    rules, said = one.rules, []
    if rules.sample is not None:
        said.append(_("sampled: {enterprises:,} enterprises", enterprises=rules.sample.enterprises))
    if rules.thin is not None and rules.thin.positives is not None:
        said.append(_("thinned: {number:,} enterprises with a default are kept", number=rules.thin.positives))
    if rules.thin is not None and rules.thin.negatives is not None:
        said.append(
            _("thinned: {number:,} enterprises without a default are kept", number=rules.thin.negatives)
        )
    for holder, share in rules.knows.items():
        said.append(
            _("{holder} knows {share:.0%} of the enterprises in its table", holder=holder, share=share)
        )
    if rules.expected is not None and rules.expected.enterprises is not None:
        said.append(
            _(
                "as published: {enterprises:,} enterprises, default rate {rate:.1%}",
                enterprises=rules.expected.enterprises,
                rate=rules.expected.default_rate or 0.0,
            )
        )
    return said


MOST_NAMES = 6
"""Columns of an institution whose names are shown; of more, the first ones."""


def _columns(holding: "Holding") -> str:
    """How many columns an institution has, and their names."""
    names = holding.columns
    more = ", ..." if len(names) > MOST_NAMES else ""
    return f"{len(names)}: {', '.join(names[:MOST_NAMES])}{more}" if names else "0"


def _rows(holding: "Holding", one: "DataSet") -> str:
    """Which rows an institution has, in words."""
    if holding.only:
        return holding.only
    if holding.share is None:
        return _("all rows")
    split = one.rules.split
    if split.kind == "shares":
        return _("{share:.0%}, at random", share=holding.share)
    over = split.over or _("all rows")
    return _("{share:.0%} on average, by a Dirichlet draw over {over}", share=holding.share, over=over)
