"""Before a study runs: are tables, dictionaries and policies fit for it, what would it cost, can it gain?

Prints the plan that hub and institutions would make, by the same code. Touches nothing but the institutions' tables,
releases nothing and spends nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fedrisk.clients.describe import check_role, check_table_fits
from fedrisk.clients.node import Node
from fedrisk.clients.out_of_time import check_boundary
from fedrisk.clients.witness import refuse_marked
from fedrisk.data.features import Feature
from fedrisk.data.table import check_table
from fedrisk.engine.in_process import load_nodes
from fedrisk.errors import FedriskError
from fedrisk.findings import Finding
from fedrisk.privacy.accounting import epsilon_by_relation, epsilon_for
from fedrisk.recipe import Recipe
from fedrisk.recipes import recipe_of
from fedrisk.releases.budget import total_mu
from fedrisk.releases.plan import Plan
from fedrisk.study import Study


@dataclass(frozen=True)
class Line:
    """One institution: what it brings, what is wrong with it (``broken``) or worth knowing, and notes as codes.

    rows: of its table. labelled: at a bank, those with a label, from which models learn.
    """

    name: str
    role: str
    rows: int
    features: int
    findings: tuple[str, ...]
    broken: bool
    notes: tuple[Finding, ...] = ()
    labelled: int | None = None

    @property
    def taught(self) -> int:
        """Rows that a model can learn from."""
        return self.rows if self.labelled is None else self.labelled


@dataclass(frozen=True)
class Check:
    """What can be said of a study before it runs.

    study: its name. institutions: a line each. plan: releases with price and noise, None where nothing can be priced.
    expectations: what to expect, as codes with figures.
    """

    study: str
    institutions: tuple[Line, ...]
    plan: Plan | None
    expectations: tuple[Finding, ...]

    @property
    def broken(self) -> bool:
        """Whether an institution would refuse."""
        return any(line.broken for line in self.institutions)


def check_study(study: Study, institutions: Mapping[str, Path]) -> Check:
    """Check everything that can be checked on one machine; ConfigError where a file cannot be read at all."""
    recipe, nodes = recipe_of(study), load_nodes(institutions)
    lines: list[Line] = []
    features: list[Feature] = []
    banks: dict[str, list[Feature]] = {}
    for name, node in nodes.items():
        line, own = _institution(study, recipe, node)
        if name in study.banks and banks.setdefault(study.banks[0], own) != own:
            differ = (
                f"its columns are not those of {study.banks[0]}; banks of one study need the same dictionary"
            )
            line = replace(line, findings=(differ, *line.findings), broken=True)
        lines.append(line)
        if study.role_of(name) == "holder" or name == study.banks[0]:
            features += own
    try:
        recipe.members(study, features)
    except FedriskError:
        return Check(study.name, tuple(lines), None, (Finding("nothing_to_price"),))
    rows = {line.name: line.taught for line in lines}
    plan = recipe.plan(study, features, sum(rows[name] for name in study.trainers))
    return Check(
        study.name, tuple(lines), plan, (*_charge(study), *plan.findings, *recipe.expect(study, plan, rows))
    )


def _institution(study: Study, recipe: Recipe, node: Node) -> tuple[Line, list[Feature]]:
    """What describe looks at, every rule instead of the first one broken."""
    institution = node.institution
    findings: list[str] = []
    notes: tuple[Finding, ...] = ()
    refused: list[str] = []
    features: list[Feature] = []
    rows, labelled = 0, None

    def attempt(step: Callable[[], object]) -> None:
        try:
            step()
        except FedriskError as error:
            refused.append(str(error))

    attempt(lambda: check_role(study, node))
    attempt(lambda: institution.policy.check(study, institution=node.name, research=False))
    attempt(lambda: refuse_marked(node, study))
    attempt(lambda: check_boundary(node, study, research=False))
    if institution.table is not None and institution.dictionary is not None:
        notes = tuple(status.finding for status in institution.encoder_status())
        attempt(lambda: features.extend(recipe.brings(node, study, None).features))
        try:
            found = check_table(institution.table, institution.dictionary, base=institution.folder)
            refused += [str(f) for f in found if f.severity == "error"]
            findings += [str(f) for f in found if f.severity != "error"]
            if not any(f.severity == "error" for f in found):
                table = institution.read()
                rows = len(table)
                labelled = int(table.labelled.sum()) if study.role_of(node.name) == "bank" else None
                check_table_fits(study, node, table)
        except FedriskError as error:
            refused.append(str(error))
        left = node.ledger.left(study=study.name, purpose=study.purpose)
        if recipe.plan(study, features).price[node.name] > left * (1 + 1e-9):
            spare = epsilon_for(left, study.privacy.delta) if left > 0 else 0.0
            refused.append(f"budget left is epsilon {spare:.2f}, the study asks {study.privacy.epsilon:g}")
    role = study.role_of(node.name)
    line = Line(node.name, role, rows, len(features), (*refused, *findings), bool(refused), notes, labelled)
    return line, features


def _charge(study: Study) -> tuple[Finding, ...]:
    """What each institution is charged, read as epsilon for three different things to hide."""
    privacy, mu = study.privacy, total_mu(study)
    if not math.isfinite(mu):
        return ()
    r = epsilon_by_relation(mu, privacy.delta)
    values = {"epsilon": privacy.epsilon, "delta": privacy.delta, "mu": mu}
    return (Finding("charged", {**values, "label_flipped": r.label_flipped, "replaced": r.replaced}),)
