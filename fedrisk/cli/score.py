"""``fedrisk score``: a bank's model over a whole list of enterprises, from a file to a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.asking import Members, Place, institution_file, way_to_members
from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, out, plain_table, tell_json
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.serving.batch import Order
    from fedrisk.serving.batch_table import Summary


def score(
    bank: Place,
    model: Annotated[
        str,
        typer.Argument(
            help="champion, the name of a study, or the beginning of a model's id, for example 3f09."
        ),
    ],
    ids: Annotated[
        Path, typer.Argument(help="The list: a .csv, .csv.gz or .parquet file, for example applicants.csv.")
    ],
    to: Annotated[
        Path, typer.Option("--out", help="The file of answers, .csv or .parquet, for example scores.csv.")
    ],
    column: Annotated[
        str | None,
        typer.Option(help="Column with the ids, for example uscc; default: as in the bank's own table."),
    ] = None,
    consent: Annotated[
        str | None, typer.Option(help="Column with the enterprises' consents, for example consent.")
    ] = None,
    values: Annotated[
        bool,
        typer.Option(
            "--values",
            help="Take the bank's own columns from the list where it has them, in place of the bank's table.",
        ),
    ] = False,
    purpose: Annotated[
        str, typer.Option(help="What the scores are for, for example credit_scoring; default: the model's.")
    ] = "",
    product: Annotated[str, typer.Option(help="Product of the bank, for example working_capital.")] = "",
    screening: Annotated[
        bool,
        typer.Option(
            "--screening",
            help="Look through a list of enterprises that have consented: nobody is asked about others, members count "
            "it apart, and the result is sorted by grade.",
        ),
    ] = False,
    grades: Annotated[
        str | None, typer.Option(help="Write these grades alone, the best first, for example A,B.")
    ] = None,
    members: Members = None,
    as_json: AsJson = False,
) -> None:
    """Score a list of enterprises; for example fedrisk score /srv/bank champion applicants.csv --out scores.csv.

    A thousand a question, through the hub or, with --members, on this machine. A row that has no score has a code and a
    sentence. Stopped or cut off, it goes on where it was when the same command is given again; what is on its way is
    kept in FILE.part, and nobody is asked twice about what is written.
    """
    from fedrisk.cli.progress import Progress
    from fedrisk.clients.node import Node
    from fedrisk.serving.batch_folder import BatchFolder
    from fedrisk.serving.batch_node import run_at

    node = Node.open(institution_file(bank))
    order = _order(node, model, ids, to, column, consent, values, purpose, product, screening, grades)
    with (
        Progress().watching(),
        way_to_members(bank, node, members) as relay,
        BatchFolder(to).opened(order.to_dict()) as folder,
    ):
        summary = run_at(node, order, folder, relay)
    if as_json:
        tell_json({"bank": node.name, "model": order.model, "file": str(to), **summary.to_dict()})
        return
    _show(summary, order, to)


def _order(
    node: "Node",
    model: str,
    ids: Path,
    to: Path,
    column: str | None,
    consent: str | None,
    values: bool,
    purpose: str,
    product: str,
    screening: bool,
    grades: str | None,
) -> "Order":
    """What is to be done, checked as a whole; ConfigError where something does not fit."""
    from fedrisk.errors import ConfigError
    from fedrisk.serving.batch import Order
    from fedrisk.serving.batch_list import ListFile, check_columns, counted
    from fedrisk.serving.deployed import meant
    from fedrisk.serving.grades import GRADES
    from fedrisk.serving.score_forms import ScoreRequest, ServiceError

    dictionary = node.institution.dictionary
    if node.institution.kind != "bank" or dictionary is None:
        raise ConfigError(f"{node.name} is a {node.institution.kind} and scores nobody; name a bank")
    if to.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"--out {to}: answers are written as .csv or .parquet; name a file that ends so")
    wanted = tuple(g.strip().upper() for g in (grades or "").split(",") if g.strip())
    if unknown := [g for g in wanted if g not in GRADES]:
        raise ConfigError(f"--grades: there is no grade {', '.join(unknown)}; grades are {', '.join(GRADES)}")
    if screening and consent is None:
        raise ConfigError("a list is looked through with consents alone; name their column with --consent")
    try:
        card, _request = meant(node, ScoreRequest(ids=("x",), model=model, purpose=purpose, product=product))
    except ServiceError as error:
        raise ConfigError(f"{error} See fedrisk model list {node.institution.file}") from None
    listed = ListFile(ids, column or dictionary.id, consent, screening=screening)
    own = [f.column for f in card.features] if values else []
    listed = check_columns(listed, own)
    return Order(
        bank=node.name,
        model=card.part.model,
        file=listed,
        counted=counted(listed),
        purpose=purpose,
        product=product,
        screening=screening,
        grades=wanted,
        sort=screening or bool(wanted),
    )


def _show(summary: "Summary", order: "Order", to: Path) -> None:
    """What came of it, and why rows have no score."""
    note(_("{written:,} rows in {to}", written=summary.written, to=to), style=None)
    table = plain_table(
        _("{rows:,} enterprises, {scored:,} with a score", rows=summary.rows, scored=summary.scored),
        "answer",
        "rows",
        "what it says",
        right=("rows",),
    )
    for grade, count in sorted(summary.grades.items()):
        table.add_row(_("grade {grade}", grade=grade), f"{count:,}", "")
    for code, count in summary.codes.most_common():
        table.add_row(code, f"{count:,}", summary.words.get(code, ""))
    out.print(table)
    if order.screening and summary.codes:
        note(
            _("{codes:,} of the list were not answered, for the reasons above", codes=summary.codes.total()),
            style=None,
        )
