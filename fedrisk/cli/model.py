"""``fedrisk model``: models that serve, or could, at an institution: look at them, approve, deploy, compare, retire."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.common import AsJson, InstitutionFile
from fedrisk.cli.model_drift import model_drift
from fedrisk.cli.model_edited import model_edited
from fedrisk.cli.output import note, tell, tell_json
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.clients.store.model_store import State
    from fedrisk.models.model_part import ModelPart

model_app = typer.Typer(
    help="Models that serve: what is here, who may ask, and which ones this institution answers.",
    no_args_is_help=True,
)

Model = Annotated[
    str,
    typer.Argument(
        help="The model's id, the beginning of it, or its study's name where one model has it, for example 3fa9c1.",
        show_default=False,
    ),
]
Who = Annotated[
    str | None,
    typer.Option(
        help="Who decides, for example 'A. Officer'; recorded for good. Default: the login.",
        show_default=False,
    ),
]
Why = Annotated[str, typer.Option("--reason", help="Why, for example 'refit of March'; stays in the store.")]


class As(StrEnum):
    """What a bank deploys a model as."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"


@model_app.command("list")
def model_list(institution: InstitutionFile, as_json: AsJson = False) -> None:
    """All models at this institution and what each of them is today."""
    from fedrisk.cli.model_screen import show_list, summary_of
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    store = node.store.models
    found = [(part, store.state(part.model)) for part in store.parts()]
    if as_json:
        tell_json({"institution": node.name, "models": [summary_of(*each) for each in found]})
        return
    if not found:
        note(
            _(
                "no model at {name} yet: a scorecard study leaves one when it ends, and a research run leaves "
                "none, since it has no privacy",
                name=node.name,
            )
        )
        return
    show_list(node.name, found)


@model_app.command("show")
def model_show(institution: InstitutionFile, model: Model, as_json: AsJson = False) -> None:
    """What a person who approves has to know: columns, points, what a score can tell, who may ask, its history."""
    from fedrisk.cli.model_screen import about, show
    from fedrisk.clients.node import Node
    from fedrisk.serving import registry

    node = Node.load(institution)
    part = node.store.models.part(model)
    state = node.store.models.state(part.model)
    against = [] if state.serves else registry.broken(node, part, follows=_follows(node, part))
    by_form = [*registry.told_by_form(part), *registry.told_beside(node, part)]
    content = about(node, part, state, against) | {"by_form": by_form}
    if as_json:
        tell_json(content)
        return
    show(node, part, state, content)


@model_app.command("approve")
def model_approve(
    institution: InstitutionFile,
    model: Model,
    who: Who = None,
    why: Why = "",
    again: Annotated[
        bool, typer.Option("--again", help="Also a model that was refused or retired before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let a model serve that passes all checks: its part is made anew here and held against the policy."""
    from fedrisk.serving import registry

    node = _opened(institution)
    part = node.store.models.part(model)
    part, state = registry.approve(
        node, part.model, who=_who(who), why=why, follows=_follows(node, part), again=again
    )
    _told(node, part, state, as_json)
    nobody = node.institution.policy.serving.answers_nobody(datetime.now(UTC).date())
    if part.given is not None and nobody:
        note(nobody, style="yellow")


@model_app.command("refuse")
def model_refuse(
    institution: InstitutionFile, model: Model, who: Who = None, why: Why = "", as_json: AsJson = False
) -> None:
    """Refuse a model: it is never answered, and no rule approves the next one of its name without a person."""
    from fedrisk.serving import registry

    node = _opened(institution)
    _told(node, *registry.refuse(node, model, who=_who(who), why=why), as_json)


@model_app.command("retire")
def model_retire(
    institution: InstitutionFile, model: Model, who: Who = None, why: Why = "", as_json: AsJson = False
) -> None:
    """Take an approved or deployed model back: from the next question on nothing of it is answered."""
    from fedrisk.serving import registry

    node = _opened(institution)
    _told(node, *registry.retire(node, model, who=_who(who), why=why), as_json)


@model_app.command("deploy")
def model_deploy(
    institution: InstitutionFile,
    model: Model,
    as_: Annotated[
        As,
        typer.Option(
            "--as", help="champion: it decides; challenger: scored beside it, for example --as challenger."
        ),
    ] = As.CHAMPION,
    product: Annotated[
        str,
        typer.Option(
            help="For one product alone, for example working_capital. Default: all without their own."
        ),
    ] = "",
    who: Who = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """At a bank: put an approved model to use. The champion before it becomes a challenger."""
    from fedrisk.serving import registry

    node = _opened(institution)
    part, state, former = registry.deploy(node, model, as_=as_.value, product=product, who=_who(who), why=why)
    _told(node, part, state, as_json)
    if former is not None:
        note(_("model {model} was the champion before and is a challenger now", model=former.model))


@model_app.command("compare")
def model_compare(
    institution: InstitutionFile,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Two models or more, the first is the one that the others are held against, for example 3fa9c1 77be. "
            "Default: the champion and its challengers.",
            show_default=False,
        ),
    ] = None,
    product: Annotated[
        str, typer.Option(help="Champion and challengers of this product, for example working_capital.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """At a bank: champion against challengers on its own hold-out, with intervals; nothing of it leaves."""
    from fedrisk.cli.model_screen import show_compared
    from fedrisk.clients.node import Node
    from fedrisk.serving.compared import compare

    node = Node.load(institution)
    first, others = _chosen(node, models or [], product)
    found = [compare(node, first, other) for other in others]
    if as_json:
        tell_json({"institution": node.name, "compared": [each.to_dict() for each in found]})
        return
    show_compared(node.name, found)


@model_app.command("hand-out")
def model_hand_out(
    institution: InstitutionFile,
    model: Model,
    to: Annotated[Path, typer.Option("--out", help="The file, for example health.json.")],
    as_json: AsJson = False,
) -> None:
    """At a bank: write an index for agents of enterprises: its card and scale, nothing of an enterprise."""
    from fedrisk.clients.node import Node
    from fedrisk.serving.index_file import write_index

    node = Node.load(institution)
    part = node.store.models.part(model)
    write_index(part, to)
    if as_json:
        tell_json({"institution": node.name, "model": part.model, "file": str(to)})
        return
    tell(_("{to}: the index {name}; an agent asks by it where members name it", to=to, name=part.name))


model_app.command("drift")(model_drift)
model_app.command("edited")(model_edited)


def _chosen(node: "Node", models: list[str], product: str) -> "tuple[ModelPart, list[ModelPart]]":
    """Which models are compared, the first with each other one."""
    from fedrisk.errors import ConfigError
    from fedrisk.serving import registry

    if models:
        parts = [node.store.models.part(said) for said in models]
    else:
        used = registry.in_use(node, product)
        parts = [*used["champion"][:1], *used["challenger"]]
        if not used["champion"]:
            parts = []
    if len({part.model for part in parts}) < 2 or any(part.card is None for part in parts):
        raise ConfigError(
            "two scorecards of a bank are compared: name two of its models, or deploy a champion and a challenger"
        )
    return parts[0], parts[1:]


def _opened(institution: Any) -> "Node":
    """The node behind an institution's file, for an act on a model that is there; makes no store."""
    from fedrisk.clients.node import Node
    from fedrisk.errors import ConfigError

    node = Node.load(institution)
    if not node.store.models.ids():
        raise ConfigError(f"there is no model at {node.name} yet; a scorecard study leaves one when it ends")
    return node.opened()


def _follows(node: "Node", part: "ModelPart") -> Any:
    """How a part is made anew from what its attempt kept here; None of one that no study made."""
    from fedrisk.engine.kept_parts import follows

    return follows(node) if part.attempt else None


def _who(said: str | None) -> str:
    from fedrisk.user import user_name

    return said or user_name()


def _told(node: "Node", part: "ModelPart", state: "State", as_json: bool) -> None:
    from fedrisk.cli.model_screen import state_words, summary_of

    if as_json:
        tell_json({"institution": node.name, **summary_of(part, state)})
        return
    tell(
        _(
            "model {model} ({name}, version {version}) is {state} at {name2}",
            model=part.model,
            name=part.name,
            version=part.version,
            state=state_words(state),
            name2=node.name,
        )
    )
