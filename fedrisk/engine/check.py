"""Before a study runs: would anybody refuse it, what would it cost, can it gain, and is it what was declared?

Everything that ``run`` looks at up to the first charge is looked at here, by the same code: a study that is found good
is not refused later for something that could have been known. Nothing is released, spent, or written to a store.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from fedrisk.clients.node import Node
from fedrisk.data.features import Feature
from fedrisk.engine import together
from fedrisk.engine.checked import Check, Line
from fedrisk.engine.consortium_check import look_at_consortium
from fedrisk.engine.in_process import load_nodes
from fedrisk.engine.member_check import Looked, look
from fedrisk.engine.public_check import charge, check_public
from fedrisk.engine.together import Common
from fedrisk.errors import FedriskError
from fedrisk.findings import Finding
from fedrisk.protocol.statements import (
    Statements,
    evaluated,
    features_of_roles,
    trainer_rows,
)
from fedrisk.recipe import Recipe
from fedrisk.recipes import recipe_of
from fedrisk.releases.plan import Plan
from fedrisk.server import knowledge
from fedrisk.server.hub import Hub
from fedrisk.server.roster import check_statements
from fedrisk.study import Study


def check_study(
    study: Study,
    institutions: Mapping[str, Path],
    *,
    research_seed: int | None = None,
    hub: Hub | None = None,
    foresee: bool = False,
) -> Check:
    """Check everything that can be checked on one machine: what is public, each member's own part, and all together.

    research_seed: as for a research run with this seed. hub: whose pins are compared; by default that of this machine.
    foresee: whether simulated studies say what to expect of it, which takes seconds.
    ConfigError where files cannot be read, with all of them.
    """
    recipe, nodes = recipe_of(study), load_nodes(institutions)
    lost: list[Line] = []
    while True:
        found = {name: look(study, recipe, nodes[name], research_seed) for name in study.members}
        broken = {name for name, looked in found.items() if looked.broken}
        if not broken or not broken <= set(study.optional):
            break
        # They would refuse when the study is described, and it would go on without them.
        lost += [replace(_line(name, found[name]), left_out=True) for name in sorted(broken)]
        try:
            study = recipe.without(study, broken)
        except FedriskError as error:
            lines = tuple(_line(name, looked) for name, looked in found.items() if name not in broken)
            return Check(
                study=study.name,
                content=study,
                institutions=(*lines, *lost),
                plan=None,
                expectations=(),
                refused=(str(error),),
            )
    checked = _Together(study, recipe, nodes, found, research_seed, hub or Hub.default()).check()
    if foresee and checked.known is not None and checked.stated and not checked.broken:
        foreseen = recipe.foresee(checked.known, checked.stated, checked.listed)
        checked = replace(checked, expectations=(*checked.expectations, *foreseen))
    return replace(checked, institutions=(*checked.institutions, *lost))


def check_own(study: Study, node: Node, *, research_seed: int | None = None) -> Check:
    """What one member alone can say, by its own file and store: no other institution's is read, nothing compared.

    In a consortium of several machines also whether all members' keys are pinned here, and whether its people have
    approved the study. ConfigError where it is no member.
    """
    recipe = recipe_of(study)
    study.role_of(node.name)
    looked = look(study, recipe, node, research_seed)
    if node.store.deployed:
        look_at_consortium(study, looked, research_seed)
    plan = recipe.plan(study, looked.brought.features)
    timed = together.alignment_time(study, {node.name: looked})
    return Check(
        study=study.name,
        content=study,
        institutions=(_line(node.name, looked),),
        plan=plan,
        expectations=(*charge(study), *([timed] if timed else [])),
        alone=True,
    )


def check_member(study: Study, institution: Path, *, research_seed: int | None = None) -> Check:
    """`check_own` by an institution's file; ConfigError also where that cannot be read."""
    return check_own(study, Node.load(institution), research_seed=research_seed)


class _Together:
    """The part of a check that needs the files and stores of all members."""

    def __init__(
        self,
        study: Study,
        recipe: Recipe,
        nodes: Mapping[str, Node],
        found: Mapping[str, Looked],
        research_seed: int | None,
        hub: Hub,
    ) -> None:
        self.study, self.recipe, self.found = study, recipe, found
        self.nodes = {name: nodes[name] for name in study.members}
        self.research, self.hub = research_seed is not None, hub
        self.aligned = recipe.aligned(study)
        self.refused = [*check_public(study, None, hub=hub, research_seed=research_seed).refused]
        self.known = knowledge.Beforehand(study=study, plan=recipe.plan)
        self.plan: Plan | None = None
        self.stated: tuple[Feature, ...] = ()
        self.listed: int | None = None

    def check(self) -> Check:
        study, found = self.study, self.found
        common = together.in_common(study, found) if self.aligned else ()
        self._stores(common)
        self._attempt(self._look_up)
        expectations = self._planned()
        self._said_by_all()
        timed = together.alignment_time(study, found)
        asked = [*together.compared(study, found, common)]
        if self.aligned:
            asked = [*together.check_held_out(study, found), *asked]
        return Check(
            study=study.name,
            content=study,
            institutions=tuple(_line(name, looked) for name, looked in found.items()),
            plan=self.plan,
            expectations=(*expectations, *([timed] if timed else [])),
            refused=tuple(self.refused),
            common=common,
            asked=tuple(asked),
            stated=self.stated,
            listed=self.listed,
            known=self.known,
        )

    def _stores(self, common: tuple[Common, ...]) -> None:
        """What the alignment would stop at, and the draw of rows: before the first charge, but after all agreed."""
        study, nodes = self.study, self.nodes
        self._attempt(lambda: together.check_registered(nodes, self.hub))
        if self.aligned and not self.research:
            self._attempt(lambda: together.check_evaluation_key(study, nodes))
        for name, looked in self.found.items():
            looked.attempt(partial(together.check_heads_of, looked.node, nodes))
            if not self.aligned:
                continue
            looked.attempt(partial(together.check_quota, study, nodes, looked, self.research))
            looked.attempt(partial(together.check_drawn, study, self.found, common, name))

    def _said_by_all(self) -> None:
        """What every member refuses for in the same words, a package that this machine lacks, is one reason."""
        first, *others = self.found.values()
        said = [t for t in first.refused if others and all(t in o.refused for o in others)]
        self.refused = list(dict.fromkeys([*self.refused, *said]))
        for looked in self.found.values():
            looked.refused = [t for t in looked.refused if t not in self.refused]

    def _planned(self) -> tuple[Finding, ...]:
        """The plan as hub and members would make it from what all state, and what to expect of it."""
        study, recipe = self.study, self.recipe
        rows = {n: looked.taught if recipe.labels else looked.rows for n, looked in self.found.items()}
        stated = {name: looked.statement for name, looked in self.found.items()}
        statements = {name: said for name, said in stated.items() if said is not None}
        nothing = (Finding("nothing_to_price"),)
        if len(statements) < len(stated) or not any(rows.values()):
            return nothing
        before = len(self.refused)
        self._attempt(lambda: check_statements(study, statements))
        self._attempt(lambda: recipe.members(study, features_of_roles(study, statements)))
        if len(self.refused) > before:
            self.refused = list(dict.fromkeys(self.refused))
            return nothing
        self._attempt(lambda: self._plan(statements))
        if self.plan is None:
            return nothing
        scored = recipe.labels and not evaluated(study, statements)
        unevaluated = (_not_evaluated(study, statements),) if scored else ()
        before_all = (*charge(study), *unevaluated, *self.known.findings)
        return (*before_all, *self.plan.findings, *recipe.expect(study, self.plan, rows))

    def _plan(self, statements: Statements) -> None:
        self.stated = tuple(features_of_roles(self.study, statements))
        self.listed = trainer_rows(self.study, statements)
        self.plan = self.known.plan(self.study, self.stated, self.listed)

    def _look_up(self) -> None:
        """What the study knows beforehand, by the hub's own runs."""
        self.known = knowledge.look_up(self.recipe, self.study, self.hub, research=self.research)

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except FedriskError as error:
            self.refused.append(str(error))


def _line(name: str, looked: Looked) -> Line:
    return Line(
        name=name,
        role=looked.role,
        rows=looked.rows,
        features=len(looked.brought.features),
        refused=tuple(dict.fromkeys(looked.refused)),
        checks=looked.checks,
        asked=tuple(looked.asked),
        notes=tuple(looked.notes),
        labels=looked.labels,
        new=None if looked.new is None else int(looked.new.sum()),
    )


def _not_evaluated(study: Study, statements: Statements) -> Finding:
    if not study.evaluation.release:
        return Finding("not_evaluated_now")
    names = [n for n in (*study.banks, *study.holders) if not statements[n].evaluation]
    return Finding("not_evaluated", {"names": ", ".join(names)})
