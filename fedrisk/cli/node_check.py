"""``fedrisk node check``: one member's own part of a study's check, at its node."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.check import ResearchSeed
from fedrisk.cli.common import AsJson, Overrides
from fedrisk.cli.node import NodeFolder, node_app
from fedrisk.errors import ConfigError

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.study import Study


@node_app.command("check")
def check(
    node: NodeFolder,
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|PROPOSAL",
            help="The study's file (TOML), or a proposal by its id or the beginning of it, for example study.toml or "
            "1f3a9c02.",
            show_default=False,
        ),
    ],
    overrides: Overrides = None,
    research_seed: ResearchSeed = None,
    as_json: AsJson = False,
) -> None:
    """Look before you approve: would this institution refuse, is its table as described, what would it cost?

    Its own part alone: table, dictionary, policy, budget, approvals, and whether the other members' keys are known
    here. The last line is the verdict; exit code 1 where it would refuse. Spends nothing, tells nobody.
    """
    from fedrisk.cli.check_screen import show
    from fedrisk.cli.common import look
    from fedrisk.deploy.node_home import NodeHome
    from fedrisk.engine.check import check_own

    institution = look(NodeHome.load(node).institution)
    content, seed = _asked(institution, study, overrides or [], research_seed)
    show(check_own(content, institution, research_seed=seed), as_json=as_json)


def _asked(
    node: "Node", said: str, overrides: list[str], research_seed: int | None
) -> "tuple[Study, int | None]":
    """The study of a file or of a proposal, and the seed of a research run."""
    from fedrisk.recipes import find_recipe, load_study

    if Path(said).suffix == ".toml" or Path(said).exists():
        return load_study(Path(said), overrides), research_seed
    asked = node.store.proposals.find(said)
    if overrides or research_seed is not None:
        raise ConfigError("a proposal is what it is; --set and --research-seed go with a study's file")
    return find_recipe(asked.study)[0], asked.research_seed
