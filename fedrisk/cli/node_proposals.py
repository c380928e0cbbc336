"""``fedrisk node proposals``, ``approve`` and ``refuse``: people decide in which studies their institution takes part.

All of it works beside a node that serves: the store's lock is taken for as long as a decision is written.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import AsJson, look
from fedrisk.cli.node import NodeFolder, node_app
from fedrisk.cli.output import note, out, tell, tell_json
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.clients.proposal_view import View
    from fedrisk.clients.store.proposal_store import Asked
    from fedrisk.protocol.actions import Action
    from fedrisk.recipe import Recipe

ProposalId = Annotated[
    str | None,
    typer.Argument(
        metavar="ID",
        help="The proposal, or the first letters of its id, for example 1f3a.",
        show_default=False,
    ),
]
Who = Annotated[
    str | None,
    typer.Option(help="Who decides, for example 'A. Officer'; recorded for good. Default: the login's name."),
]


@node_app.command("proposals")
def node_proposals(node: NodeFolder, proposal: ProposalId = None, as_json: AsJson = False) -> None:
    """Studies that the hub proposes: what, with whom, at which price, what leaves; for example /srv/bank 1f3a."""
    from fedrisk.deploy.node_home import NodeHome

    folder, said = _folder_and_id(node, proposal)
    institution = look(NodeHome.load(folder).institution)
    if said is not None:
        view = _view(institution, institution.store.proposals.find(said))
        if as_json:
            tell_json({"institution": institution.name, **view.to_dict()})
            return
        _show(view)
        return
    views = [_view(institution, asked) for asked in institution.store.proposals.all()]
    if as_json:
        tell_json({"institution": institution.name, "proposals": [view.to_dict() for view in views]})
        return
    if not views:
        note(_("nothing was proposed to {name} yet", name=institution.name), style=None)
        return
    from fedrisk.cli.proposals_screen import table

    out.print(table(institution.name, views))
    waiting = sum(view.stage == "waiting" for view in views)
    if waiting:
        note(
            _(
                "{waiting} wait for a decision: fedrisk node proposals {folder} ID shows one in full",
                waiting=waiting,
                folder=folder,
            ),
            style=None,
        )


@node_app.command("approve")
def node_approve(node: NodeFolder, proposal: ProposalId = None, who: Who = None) -> None:
    """Approve one study for one run, as it was proposed; for example fedrisk node approve /srv/bank 1f3a."""
    from fedrisk.clients.approvals import approve
    from fedrisk.recipes import find_recipe
    from fedrisk.user import user_name

    folder, said = _folder_and_id(node, proposal)
    institution = _open(folder)
    with institution.store.one_at_a_time():
        asked, _found = approve(institution, _needed(said), who=who or user_name(), find=find_recipe)
    _show(_view(institution, asked))
    days = institution.institution.policy.approval_days
    note(_("recorded; it holds for one run that begins within {days} days", days=days), style=None)


@node_app.command("refuse")
def node_refuse(
    node: NodeFolder,
    reason: Annotated[
        str,
        typer.Option(help="Why, for example 'no consent register'; kept here, the hub learns a code alone."),
    ],
    proposal: ProposalId = None,
    who: Who = None,
) -> None:
    """Refuse a study, also one that was approved and did not begin; for example /srv/bank 1f3a --reason "too soon"."""
    from fedrisk.clients.approvals import refuse
    from fedrisk.user import user_name

    folder, said = _folder_and_id(node, proposal)
    institution = _open(folder)
    with institution.store.one_at_a_time():
        asked = refuse(institution, _needed(said), reason=reason, who=who or user_name())
    name = asked.study.get("name")
    tell(
        _(
            "refused: proposal {id}, study {name}; the hub learns the code {decision_code} alone",
            id=asked.id,
            name=name,
            decision_code=asked.decision_code,
        )
    )


def _folder_and_id(node: Path, proposal: str | None) -> tuple[Path, str | None]:
    """Where FEDRISK_NODE names the folder it may be left out: a single word that is no node's folder is the id."""
    from fedrisk.deploy.node_home import FILE, VARIABLE

    kept = os.environ.get(VARIABLE)
    if proposal is None and kept and str(node) != kept and not (node / FILE).exists():
        return Path(kept), str(node)
    return node, proposal


def _needed(proposal: str | None) -> str:
    if proposal is None:
        raise typer.BadParameter("name the proposal, for example 1f3a; fedrisk node proposals lists them")
    return proposal


def _open(folder: Path) -> "Node":
    from fedrisk.clients.node import Node
    from fedrisk.deploy.node_home import NodeHome

    return Node.open(NodeHome.load(folder).institution)


def _view(node: "Node", asked: "Asked") -> "View":
    from fedrisk.clients.proposal_view import view
    from fedrisk.recipes import find_recipe

    return view(node, asked, find=find_recipe, actions=_actions)


def _actions(recipe: "Recipe") -> "Sequence[Action]":
    from fedrisk.clients.app import SHARED

    return (*SHARED, *recipe.actions())


def _show(view: "View") -> None:
    from fedrisk.cli.proposals_screen import lines

    for line, style in lines(view):
        tell(line, style)
