"""``fedrisk init``: the first files of an institution or a study, with comments, never over a file that is there."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import Force, Horizon, IdColumn, LabelColumn, Negative, Positive, Query
from fedrisk.cli.output import tell
from fedrisk.language import _
from fedrisk.study_members import HOLDING, WITHOUT_TABLE

if TYPE_CHECKING:
    from fedrisk.cli.drafting import Hints

init_app = typer.Typer(no_args_is_help=True, help="Write the first files of an institution or of a study.")

Name = Annotated[
    str, typer.Argument(help="Name in studies: small letters, digits and _, for example bank_a.")
]
TableOption = Annotated[
    str | None,
    typer.Option(
        "--table",
        help="Its table: CSV, Parquet, or a database URL with --query; the dictionary is drafted from it, "
        "for example data/loans.csv.",
    ),
]
To = Annotated[
    Path | None,
    typer.Option(
        "--to", help="File to write. Default: institutions/NAME.toml, or study.toml; for example b.toml."
    ),
]


@init_app.command()
def bank(
    name: Name,
    table: TableOption = None,
    query: Query = None,
    id_column: IdColumn = None,
    label: LabelColumn = None,
    positive: Positive = None,
    negative: Negative = None,
    horizon: Horizon = None,
    to: To = None,
    force: Force = False,
) -> None:
    """The file of a bank, which has labels. Example: fedrisk init bank bank_a --table data/loans.csv."""
    from fedrisk.cli.drafting import Hints

    hints = Hints(id=id_column, label=label, positive=positive, negative=negative, horizon=horizon)
    _institution(name, "bank", table, query, hints, to, force)


@init_app.command()
def holder(
    name: Name,
    table: TableOption = None,
    query: Query = None,
    id_column: IdColumn = None,
    role: Annotated[
        str,
        typer.Option(help="What it is among the holders: holder, guarantor or bureau, for example bureau."),
    ] = "holder",
    to: To = None,
    force: Force = False,
) -> None:
    """The file of a data holder, without labels. Example: fedrisk init holder tax --table data/tax.parquet."""
    from fedrisk.cli.drafting import Hints

    _institution(name, _one_of(role, HOLDING), table, query, Hints(id=id_column), to, force)


@init_app.command()
def authority(
    name: Name,
    role: Annotated[
        str,
        typer.Option(
            help="authority; regulator, which may also only observe; or agent, which asks for enterprises' own "
            "indices; for example regulator."
        ),
    ] = "authority",
    to: To = None,
    force: Force = False,
) -> None:
    """The file of an authority, which keeps the key of pseudonyms. Example: fedrisk init authority key_office."""
    from fedrisk.cli.starting_files import institution_text, write_new

    _check_name(name)
    file = to or Path("institutions") / f"{name}.toml"
    write_new(file, institution_text(name, _one_of(role, WITHOUT_TABLE), file, (), None), force=force)
    tell(_("{file} is written", file=file))


@init_app.command()
def study(
    banks: Annotated[
        list[str] | None,
        typer.Option(
            "--bank", help='A bank, repeatable: NAME, or NAME="display name", for example bank_a=甲银行.'
        ),
    ] = None,
    holders: Annotated[
        list[str] | None, typer.Option("--holder", help="A data holder, repeatable, for example tax.")
    ] = None,
    guarantors: Annotated[
        list[str] | None,
        typer.Option(
            "--guarantor", help="A guarantee company, repeatable: a holder, for example guarantee_fund."
        ),
    ] = None,
    bureaus: Annotated[
        list[str] | None,
        typer.Option("--bureau", help="A credit bureau, repeatable: a holder, for example credit_bureau."),
    ] = None,
    regulators: Annotated[
        list[str] | None,
        typer.Option("--regulator", help="A regulator, repeatable, for example finance_office."),
    ] = None,
    keeper: Annotated[
        str | None,
        typer.Option(
            "--authority",
            help="Who keeps the key of the pseudonyms: a member, or a name of its own, for example tax.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the study, for example first_loans.")] = "first_study",
    purpose: Annotated[
        str, typer.Option(help="Purpose, which policies allow, for example credit_scoring.")
    ] = ("credit_scoring"),
    recipe: Annotated[
        str, typer.Option(help="What is built, for example scorecard, network or encoder.")
    ] = "scorecard",
    epsilon: Annotated[float, typer.Option(help="Privacy budget of the study, for example 1.")] = 1.0,
    consent: Annotated[
        str | None,
        typer.Option(help='Register of consents, for holders that ask, for example "register 2026/1".'),
    ] = None,
    default_rate: Annotated[
        float | None, typer.Option(help="Declared share of defaults, for example 0.06.")
    ] = None,
    enterprises: Annotated[
        int | None, typer.Option(help="Declared number of enterprises at the banks, for example 30000.")
    ] = None,
    to: To = None,
    force: Force = False,
) -> None:
    """A study file beside the folder institutions. Example: fedrisk init study --bank bank_a --holder tax."""
    from fedrisk.cli.starting_files import study_text, write_new
    from fedrisk.recipes import load_study

    members = [_member(given, "bank") for given in banks or ()]
    for role, named in (("holder", holders), ("guarantor", guarantors), ("bureau", bureaus)):
        members += [_member(given, role) for given in named or ()]
    if not members:
        raise typer.BadParameter("a study needs members: --bank NAME, --holder NAME")
    members += [_member(given, "regulator") for given in regulators or ()]
    if keeper is not None and keeper not in [m["name"] for m in members]:
        members.append(_member(keeper, "authority"))
        keeper = members[-1]["name"]
    text = study_text(
        name,
        purpose,
        recipe,
        members,
        epsilon=epsilon,
        consent=consent,
        authority=keeper,
        default_rate=default_rate,
        enterprises=enterprises,
    )
    _check_study(text)
    file = to or Path("study.toml")
    write_new(file, text, force=force)
    load_study(file)
    tell(_("{file} is written; look before you run: fedrisk check {file}", file=file))
    _missing(file, [m["name"] for m in members])


def _check_study(text: str) -> None:
    """ConfigError, before anything is written, for members or numbers that no study can have."""
    import tomllib

    from fedrisk.recipes import study_from

    study_from(tomllib.loads(text))


def _missing(file: Path, names: list[str]) -> None:
    folder = file.resolve().parent / "institutions"
    for name in names:
        if not (folder / f"{name}.toml").is_file():
            tell(
                _(
                    "{name} has no file in {folder} yet: fedrisk init bank, holder or authority {name}",
                    name=name,
                    folder=folder,
                )
            )


def _member(given: str, role: str) -> dict[str, str]:
    name, equals, display = given.partition("=")
    _check_name(name)
    return {"name": name, "role": role, **({"display_name": display} if equals else {})}


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", name):
        raise typer.BadParameter(
            f"{name!r} is no name for files and messages: a small letter, then small letters, digits and _, at most "
            "48. A name in any script is a display_name: --bank bank_a=甲银行"
        )


def _one_of(role: str, allowed: Sequence[str]) -> str:
    if role not in allowed:
        raise typer.BadParameter(f"--role {role}: choose {', '.join(allowed[:-1])} or {allowed[-1]}")
    return role


def _command(kind: str) -> str:
    """The command that makes the file of an institution with a table."""
    words = kind if kind in ("bank", "holder") else f"holder --role {kind}"
    return f"fedrisk init {words}"


def _institution(
    name: str,
    kind: str,
    table: str | None,
    query: str | None,
    hints: "Hints",
    to: Path | None,
    force: bool,
) -> None:
    from fedrisk.cli.drafting import drafted, show_draft
    from fedrisk.cli.starting_files import institution_text, write_new
    from fedrisk.data.draft.write import table_lines

    _check_name(name)
    file = to or Path("institutions") / f"{name}.toml"
    if table is None:
        lines = ["[table]", f'source = "../data/{name}.csv"  # CSV, Parquet, or a database URL with query']
        write_new(file, institution_text(name, kind, file, lines, None), force=force)
        tell(
            _(
                "{file} is written; fill it in, or let it be drafted: {kind} {name} --table TABLE --force",
                file=file,
                kind=_command(kind),
                name=name,
            )
        )
        return
    draft, text, settings = drafted(table, query, "bank" if kind == "bank" else "holder", hints)
    lines = table_lines(table if "://" in table else Path(table), file.parent, settings)
    write_new(file, institution_text(name, kind, file, lines, text), force=force)
    show_draft(draft, file)
