"""``fedrisk measure``: sums across institutions for one enterprise, approved and retired like models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.asking import Members, Place, institution_file, way_to_members
from fedrisk.cli.common import AsJson, InstitutionFile
from fedrisk.cli.output import note, out, plain_table, tell, tell_json
from fedrisk.language import _
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.models.model_part import ModelPart
    from fedrisk.serving.measure_asking import Asked
    from fedrisk.serving.measures import Measure

measure_app = typer.Typer(
    help="Sums across institutions for one enterprise, such as exposure at other banks: add, show, ask. Each member "
    "approves a measure by fedrisk model approve.",
    no_args_is_help=True,
)

MeasureFile = Annotated[
    Path,
    typer.Argument(help="The measure's file (TOML), the same at all members, for example exposure.toml."),
]
Said = Annotated[
    str, typer.Argument(help="Name of a measure, or the beginning of its id, for example exposure_elsewhere.")
]


@measure_app.command("add")
def add(place: Place, file: MeasureFile, as_json: AsJson = False) -> None:
    """Take a measure up as a candidate; for example fedrisk measure add institutions/bank.toml exposure.toml.

    Its id is a digest of the file's content: members that were given different files have different measures, and none
    of these is answered.
    """
    from fedrisk.cli.measure_screen import told
    from fedrisk.clients.node import Node
    from fedrisk.errors import ConfigError
    from fedrisk.serving import registry
    from fedrisk.serving.measures import load_measure

    measure, node = load_measure(file), Node.open(institution_file(place))
    if node.name not in (*measure.members, *measure.banks):
        raise ConfigError(
            f"{node.name} is neither asked nor asks in measure {measure.name}; its members are "
            f"{', '.join(measure.members)}, and {', '.join(measure.banks)} may ask"
        )
    part = registry.candidate(node, measure.part(node.name, node.institution.kind))
    against = registry.broken(node, part, follows=None)
    content = {**told(measure, part, node.store.models.state(part.model).name), "against": against}
    if as_json:
        tell_json(content)
        return
    tell(
        _(
            "measure {name} has the id {model} at {name2}",
            name=measure.name,
            model=part.model,
            name2=node.name,
        )
    )
    for rule in against:
        note(_("not to be approved yet: {rule}", rule=retold(rule)), "yellow")
    if not against:
        note(
            _(
                "once you have looked at it: fedrisk model approve {file} {model}",
                file=node.institution.file,
                model=part.model[:8],
            ),
            style=None,
        )


@measure_app.command("show")
def show(
    institution: InstitutionFile,
    measure: Annotated[
        str | None,
        typer.Argument(
            help="Name of a measure, or the beginning of its id, for example exposure_elsewhere; all without."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What a measure sums, who is behind it, what an answer tells; for example fedrisk measure show bank.toml."""
    from fedrisk.cli.measure_screen import show_measure, told
    from fedrisk.clients.node import Node
    from fedrisk.serving.measures import measure_of

    node = Node.load(institution_file(institution))
    store = node.store.models
    parts = [p for p in store.parts() if p.kind == "measure"] if measure is None else [_part(node, measure)]
    shown = [(measure_of(p), p, store.state(p.model).name) for p in parts]
    if as_json:
        tell_json({"institution": node.name, "measures": [told(*one) for one in shown]})
        return
    for one in shown:
        show_measure(*one)
    if not shown:
        note(_("no measure was added at {name}", name=node.name), style=None)


@measure_app.command("ask")
def ask(
    bank: Place,
    measure: Said,
    ids: Annotated[
        Path,
        typer.Argument(help="The enterprises: a .csv, .csv.gz or .parquet file, for example owners.csv."),
    ],
    column: Annotated[
        str | None,
        typer.Option(help="Column with the ids, for example uscc; default: as in the bank's own table."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="For related enterprises: column by which they belong together, for example group; without it all are "
            "one row."
        ),
    ] = None,
    consent: Annotated[
        str | None, typer.Option(help="Column with the enterprises' consents, for example consent.")
    ] = None,
    members: Members = None,
    as_json: AsJson = False,
) -> None:
    """Ask the members of a measure; for example fedrisk measure ask /srv/bank exposure_elsewhere ids.csv.

    What is asked is counted by each member, as its policy allows in a month.
    """
    from fedrisk.clients.node import Node
    from fedrisk.errors import ConfigError
    from fedrisk.serving.asking import Asking
    from fedrisk.serving.measure_asking import asked_of

    node = Node.open(institution_file(bank))
    part = _part(node, measure)
    rows = _rows(node, part, ids, column, group, consent)
    with way_to_members(bank, node, members) as relay:
        if relay is None:
            raise ConfigError(
                f"there is no way to the members of {part.name}: name the node's folder, whose node.toml has scoring, "
                "or the members' files with --members"
            )
        answers = asked_of(Asking(node, relay), part, rows)
    if as_json:
        tell_json({"bank": node.name, "measure": part.model, "rows": [a.to_dict() for a in answers]})
        return
    _show(answers, part)


def _part(node: "Node", said: str) -> "ModelPart":
    """The measure that is meant; ConfigError where there is none, or several of the name."""
    from fedrisk.errors import ConfigError

    store = node.store.models
    measures = [p for p in store.parts() if p.kind == "measure"]
    named = [p for p in measures if p.name == said]
    named = [p for p in named if store.state(p.model).serves] or named
    found = named or [p for p in measures if p.model.startswith(said)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{p.name} ({p.model})" for p in found or measures) or "none"
    raise ConfigError(
        f"{len(found) or 'no'} measure{'s' * (len(found) != 1)} {said} at {node.name}; there are: {known}"
    )


def _rows(
    node: "Node", part: "ModelPart", ids: Path, column: str | None, group: str | None, consent: str | None
) -> Any:
    from fedrisk.errors import ConfigError
    from fedrisk.serving.measure_asking import read_rows
    from fedrisk.serving.measures import measure_of

    dictionary = node.institution.dictionary
    if dictionary is None:
        raise ConfigError(f"{node.name} has no [dictionary] and asks about nobody; name a bank")
    return read_rows(measure_of(part), ids, column or dictionary.id, group=group, consent=consent)


def _show(answers: "list[Asked]", part: "ModelPart") -> None:
    from fedrisk.cli.measure_screen import KNOWN
    from fedrisk.serving.measures import measure_of

    measure: Measure = measure_of(part)
    unit = f" ({measure.unit})" if measure.unit else ""
    tell(f"{measure.name}: {measure.meaning}{unit}")
    table = plain_table("", "row", "value", KNOWN[measure.kind], "", right=("value",))
    for answer in answers:
        value = "–" if answer.value is None else f"{answer.value:,.10g}"
        known = "–" if answer.known is None else str(answer.known)
        table.add_row(answer.row, value, known, answer.words)
    out.print(table)
