"""``fedrisk index``: the operating health index of an enterprise, or of a list, over up to 18 months."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.asking import Members, Place, institution_file, way_to_members
from fedrisk.cli.common import AsJson
from fedrisk.cli.output import tell_json
from fedrisk.language import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedrisk.clients.node import Node
    from fedrisk.serving.index_forms import IndexAnswer, IndexBody
    from fedrisk.serving.measure_asking import Row


def index(
    bank: Place,
    model: Annotated[
        str,
        typer.Argument(
            help="champion, the name of a study, or the beginning of a model's id, for example health; at an agent of "
            "enterprises the file that a bank gave out, for example health.json.",
            show_default=False,
        ),
    ],
    id: Annotated[
        str | None,
        typer.Argument(help="The enterprise, for example 91350100M000100Y43.", show_default=False),
    ] = None,
    months: Annotated[
        int,
        typer.Option(
            min=1, max=18, help="This month and those before it, for example 12; each counts as a score."
        ),
    ] = 18,
    consent: Annotated[
        str,
        typer.Option(
            help="The enterprise's consent, for example eyJhbGciOi...; of a list its column, for example consent."
        ),
    ] = "",
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="Ask about all of a list in place of one enterprise: a .csv or .parquet file, for example loans.csv.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(help="Column of the list with the ids, for example uscc; default: as in the own table."),
    ] = None,
    purpose: Annotated[
        str, typer.Option(help="What it is for, for example own_information; default: the model's purpose.")
    ] = "",
    page: Annotated[
        Path | None,
        typer.Option(
            "--page",
            help="Write a page about the enterprise as well, for example index.html.",
            show_default=False,
        ),
    ] = None,
    members: Members = None,
    as_json: AsJson = False,
) -> None:
    """How does the business do: 0 to 100 a month; for example fedrisk index /srv/bank health ID --consent TOKEN.

    100 is the healthiest: 63 says that 63 of 100 enterprises of the study had a lower score. A month that members do
    not tell is left out. The same question on the same day asks nobody twice. Exit code 8 where one enterprise was
    asked about and members refuse its index, 75 where they are away for now.
    """
    from fedrisk.cli.index_screen import show_list, show_one
    from fedrisk.clients.node import Node
    from fedrisk.serving.codes import PASSING

    node = Node.open(institution_file(bank))
    _check_asks(node)
    rows = _rows(node, id, listed, column, consent, page)
    with way_to_members(bank, node, members) as relay:
        body = _asked(node, relay, rows, model, purpose, months)
    if page is not None:
        _write(page, node, body)
    if as_json:
        tell_json({"asker": node.name, **body.model_dump(mode="json")})
    elif listed is None:
        show_one(body.answers[0], body.scale)
    else:
        show_list(body.answers, body.scale)
    if listed is None and body.answers[0].code:
        raise typer.Exit(75 if body.answers[0].code in PASSING else 8)


def _check_asks(node: "Node") -> None:
    """ConfigError where an institution of this kind asks for no index."""
    from fedrisk.errors import ConfigError

    if node.institution.kind not in ("bank", "agent"):
        raise ConfigError(
            f"{node.name} is of kind {node.institution.kind}, and an index is asked for by a bank or by an agent of "
            "enterprises; name the file of one"
        )


def _rows(
    node: "Node", id: str | None, listed: Path | None, column: str | None, consent: str, page: Path | None
) -> "list[Row]":
    """Who is asked about, with consents; ConfigError where it is not clear who."""
    from fedrisk.errors import ConfigError
    from fedrisk.serving.measure_asking import Row, read_ids

    if id is None and listed is None:
        raise ConfigError("name the enterprise whose index is asked for, or a list of them with --list")
    if id is not None and listed is not None:
        raise ConfigError("name one enterprise, or a list of them with --list; not both")
    if listed is not None and page is not None:
        raise ConfigError("--page is about one enterprise; leave it out for a list, or name the enterprise")
    if id is not None:
        return [Row(id, (id,), (consent,))]
    assert listed is not None
    dictionary = node.institution.dictionary
    name = column or ("" if dictionary is None else dictionary.id)
    if not name:
        raise ConfigError(f"{node.name} has no table, so name the list's column of ids with --column")
    return read_ids(listed, name, consent or None)


def _asked(
    node: "Node", relay: object, rows: "Sequence[Row]", model: str, purpose: str, months: int
) -> "IndexBody":
    """Answers of all rows, a thousand a question; what was answered today is not asked again."""
    from typing import Any

    from fedrisk.errors import ConfigError
    from fedrisk.privacy.serving_policy import OWN_INFORMATION
    from fedrisk.serving.answer_store import AnswerStore
    from fedrisk.serving.asking import Asking
    from fedrisk.serving.index import index_answers
    from fedrisk.serving.index_file import read_index
    from fedrisk.serving.index_forms import IndexBody, IndexRequest
    from fedrisk.serving.messages import MOST_ROWS
    from fedrisk.serving.score_forms import ServiceError

    way: Any = relay
    part = None if node.institution.kind != "agent" else read_index(Path(model))
    if part is not None:
        model, purpose = part.model, purpose or OWN_INFORMATION
    asking: Any = None if way is None else Asking(node, way)
    store = AnswerStore(node.store.path / "serving", node.institution.policy.serving.answers_days)
    answers: list[IndexAnswer] = []
    scale = None
    try:
        for start in range(0, len(rows), MOST_ROWS):
            some = rows[start : start + MOST_ROWS]
            request = IndexRequest(
                ids=tuple(r.ids[0] for r in some),
                consents=tuple(r.consents[0] for r in some),
                months=months,
                model=model,
                purpose=purpose,
            )
            keyed = request.model_copy(update={"key": _key(request)})
            found, scale = index_answers(node, asking, keyed, store=store, part=part, note=_why)
            answers += found
    except ServiceError as error:
        if error.reason in ("model_unknown", "model_none"):
            raise ConfigError(
                f"{node.name} has no operating health index {model} in use; fedrisk model list {node.institution.file} "
                "shows its models, and fedrisk model deploy puts one to use"
            ) from None
        if error.reason == "model_state" and purpose:
            raise ConfigError(
                f"{node.name} has index {model} in use for no purpose {purpose}; leave --purpose out, or deploy the "
                "model that serves it"
            ) from None
        raise ConfigError(f"{error} See fedrisk model list {node.institution.file}") from None
    finally:
        store.close()
    assert scale is not None
    return IndexBody(answers=tuple(answers), scale=scale)


def _why(error: BaseException) -> None:
    """Why nobody could be asked: what the answer's code leaves open."""
    from fedrisk.cli.output import note
    from fedrisk.language_patterns import retold

    note(retold(str(error)), style="yellow")


def _key(request: object) -> str:
    """A key for what is asked today: the same command again on this day asks nobody twice."""
    from datetime import UTC, datetime

    from fedrisk.serving.index import digest_of
    from fedrisk.serving.index_forms import IndexRequest

    assert isinstance(request, IndexRequest)
    day = datetime.now(UTC).date().isoformat()
    return f"index-{hashlib.sha256(day.encode() + digest_of(request)).hexdigest()[:48]}"


def _write(page: Path, node: "Node", body: "IndexBody") -> None:
    from fedrisk.cli.output import note
    from fedrisk.report.index_page import index_page
    from fedrisk.report.page import write_page

    write_page(page, index_page(node.name, body))
    note(_("{page}: readable for its owner alone", page=page), style=None)
