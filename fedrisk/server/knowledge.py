"""What studies of this hub know beforehand: the hub's store of it, and what a recipe found.

    knowledge/DIGEST.npz    by its content (models/knowledge_file), written when a study is run or proposed

All of it is what the hub knows anyway: released numbers of earlier studies, and curves from elsewhere.
"""

from dataclasses import dataclass

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import PUT_BACK, damaged, private_folder, read_kept, write_atomic
from fedrisk.findings import Finding
from fedrisk.models.anchors import Anchor
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.models.knowledge_file import digest_of, from_bytes, to_bytes
from fedrisk.recipe import MakePlan, Recipe
from fedrisk.server.hub import Hub
from fedrisk.study import Study


@dataclass(frozen=True, kw_only=True)
class Beforehand:
    """A study with what it knows beforehand.

    study: as it is run, with what the hub found stated in it. plan: that takes what is known into account. findings:
    which earlier studies were left out, and why. anchors: what earlier cards' evaluations said, oldest first, where the
    hub has it; only what is expected beforehand follows from them.
    """

    study: Study
    plan: MakePlan
    knowledge: Knowledge = NOTHING
    findings: tuple[Finding, ...] = ()
    anchors: tuple[Anchor, ...] = ()


def look_up(recipe: Recipe, study: Study, hub: Hub, *, research: bool) -> Beforehand:
    """What a study knows beforehand, looked up where it is not stated yet; nothing is written.

    Errors of the recipe: ConfigError where what the study names is not there or may not be used, StoreError where what
    it states is not kept here any more.
    """
    if recipe.knows is None:
        return Beforehand(study=study, plan=recipe.plan)
    return recipe.knows(study, hub, research)


def kept(recipe: Recipe, study: Study, hub: Hub, *, research: bool) -> Study:
    """The study with what it knows beforehand stated in it, once that is in the hub's store; errors as of look_up."""
    found = look_up(recipe, study, hub, research=research)
    if found.knowledge:
        keep(hub, found.knowledge)
    return found.study


def keep(hub: Hub, known: Knowledge) -> str:
    """Keep knowledge in the hub's store; its digest."""
    digest = digest_of(known)
    folder = hub.path / "knowledge"
    try:
        private_folder(folder)
    except OSError as error:
        raise StoreError(f"the hub's store {folder} cannot be made: {error.strerror}") from None
    if not (folder / f"{digest}.npz").exists():
        write_atomic(folder / f"{digest}.npz", to_bytes(known))
    return digest


def load(hub: Hub, digest: str) -> Knowledge:
    """Knowledge by its digest; StoreError where it is gone or is not what was kept."""
    file = hub.path / "knowledge" / f"{digest}.npz"
    content = read_kept(file, PUT_BACK)
    try:
        known = from_bytes(content)
    except ConfigError:
        raise damaged(file, PUT_BACK) from None
    if digest_of(known) != digest:
        raise damaged(file, PUT_BACK)
    return known
