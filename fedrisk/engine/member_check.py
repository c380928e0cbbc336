"""One institution's part of ``fedrisk check``: its file, table, policy and budget, without anybody else's.

It goes through the rules by which the institution itself agrees to a study (clients/describe), by the same code; where
that stops at the first broken rule, this goes on to the last. Nothing is written to the institution's store.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.agents import Listed, not_agents
from fedrisk.clients.attempt import key_tag_of
from fedrisk.clients.books import check_books
from fedrisk.clients.describe import (
    described,
    fits_budget,
    labelled_rows,
    rules_of_study,
    rules_of_table,
    statement_of,
)
from fedrisk.clients.label_rate import Labels, labels_of
from fedrisk.clients.node import Node
from fedrisk.clients.plausible import column_findings, label_findings
from fedrisk.data.checks import Check as TableCheck
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.dictionary_rules import ROW_NUMBER
from fedrisk.data.table import Table, examine_table
from fedrisk.errors import FedriskError
from fedrisk.findings import Finding
from fedrisk.protocol.statements import Statement, seasons_of
from fedrisk.recipe import Brought, Recipe
from fedrisk.study import Study
from fedrisk.study_members import HOLDING

T = TypeVar("T")


@dataclass(kw_only=True)
class Looked:
    """What was found at one institution.

    table: None where it cannot be read. rows: usable ones, also where a rule is broken. refused: what the institution
    would refuse for, in words. checks: of the table, errors among them. asked: what its people should look at. new:
    which of the ids were never aligned under the study's key, (rows,).
    """

    node: Node
    role: str
    table: Table | None = None
    rows: int = 0
    brought: Brought = field(default_factory=Brought)
    statement: Statement | None = None
    refused: list[str] = field(default_factory=list)
    checks: tuple[TableCheck, ...] = ()
    asked: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    labels: Labels | None = None
    new: NDArray[np.bool_] | None = None

    def attempt(self, step: Callable[[], T]) -> T | None:
        """What a step gives; None where it refuses, which is kept."""
        try:
            return step()
        except FedriskError as error:
            self.refused.append(str(error))
        except ImportError as error:
            self.refused.append(f"package {error.name} is not installed; run pip install fedrisk[neural]")
        except Exception as error:
            # The institution would refuse it as "internal"; what it is, its developers find by the name.
            self.refused.append(f"{self.node.name}: an error that was not foreseen: {type(error).__name__}")
        return None

    @property
    def taught(self) -> int:
        """Rows that a model can learn from: at a bank those with a label."""
        return self.rows if self.role != "bank" or self.labels is None else self.labels.labelled

    @property
    def broken(self) -> bool:
        """Whether the institution would refuse the study when it is described to it."""
        return bool(self.refused) or any(c.severity == "error" for c in self.checks)


def look(study: Study, recipe: Recipe, node: Node, research_seed: int | None) -> Looked:
    """Everything that one institution would look at when the study is described to it, and what it should."""
    found = Looked(node=node, role=study.role_of(node.name))
    node = found.node = found.attempt(lambda: node.about(study.label)) or node
    for rule in rules_of_study(study, recipe, node, check_books, research=research_seed is not None):
        found.attempt(rule)
    if node.institution.table is None or node.institution.dictionary is None:
        found.statement = None if study.has_table(node.name) else Statement(role=study.role_of(node.name))
        return found
    found.notes += [status.finding for status in node.institution.installed.states()]
    found.notes += _serving_notes(found, study)
    brought = found.attempt(lambda: recipe.brings(node, study, research_seed))
    found.brought = brought or Brought()
    found.attempt(lambda: _read(found, node.institution.dictionary))
    if found.table is not None:
        _look_at_table(study, recipe, found, found.table, research_seed)
    if research_seed is None:
        found.attempt(lambda: _check_budget(study, recipe, found))
    if study.has_table(node.name) and brought is not None:
        found.statement = found.attempt(
            lambda: statement_of(
                study, node, found.rows, _labelled(study, recipe, found), found.brought, None
            )
        )
    found.notes += _seasons(found)
    return found


def _seasons(found: Looked) -> list[Finding]:
    """Published seasonal indices that the institution states to all, with its column of groups."""
    histories = found.node.institution.histories
    by = None if histories is None else histories.season_column
    said = () if found.statement is None else seasons_of(found.statement)
    return [Finding("season_stated", {**one, "by": by}) for one in said]


def _serving_notes(found: Looked, study: Study) -> list[Finding]:
    """Where a holder's rules for models that serve would refuse every question, or name as an agent who is none."""
    policy = found.node.institution.policy
    if found.role not in HOLDING or "serving" not in policy.model_fields_set:
        return []
    out = []
    if reason := policy.serving.answers_nobody(datetime.now(UTC).date()):
        out.append(Finding("serving_answers_nobody", {"reason": reason}))
    listed = found.attempt(lambda: Listed.of(found.node)) or Listed({}, False)
    roles = {**{one.name: one.role for one in study.institutions}, **listed.roles}
    if reason := not_agents(policy.serving.agents, Listed(roles, listed.known)):
        out.append(Finding("serving_no_agent", {"reason": reason}))
    return out


def _read(found: Looked, dictionary: Dictionary | None) -> None:
    """The table with the columns from histories and of trained encoders, and its checks."""
    institution = found.node.institution
    if institution.table is None or dictionary is None:
        return
    table, found.checks = examine_table(institution.table, dictionary, base=institution.folder)
    if table is None and (left := _without(dictionary, {c.column for c in found.checks if not c.rows})):
        # What else is wrong, and how many rows there are, can be said without the columns that are missing.
        table, more = examine_table(institution.table, left, base=institution.folder)
        found.checks += tuple(c for c in more if c.severity == "error" and c not in found.checks)
        found.rows = 0 if table is None else len(table)
        return
    if table is not None:
        found.rows, found.labels = len(table), labels_of(table)
        broken = any(c.severity == "error" for c in found.checks)
        found.table = table if broken else institution.encoded(table)
        # What was noted on the file of histories.
        found.checks += found.table.checks[len(table.checks) :]


def _without(dictionary: Dictionary, gone: set[str]) -> Dictionary | None:
    """The dictionary without columns that the table lacks; None where it would be the same."""
    update: dict[str, object] = {}
    columns = tuple(c for c in dictionary.columns if c.table_name not in gone)
    if len(columns) < len(dictionary.columns):
        update["columns"] = columns
    if dictionary.label is not None and {dictionary.label.column, dictionary.label.weight} & gone:
        update |= {"label": None, "further_labels": ()}
    if dictionary.id in gone:
        update |= {"id": ROW_NUMBER, "id_scheme": "opaque"}
    return dictionary.model_copy(update=update) if update else None


def _look_at_table(
    study: Study, recipe: Recipe, found: Looked, table: Table, research_seed: int | None
) -> None:
    node, features = found.node, found.brought.features
    for rule in rules_of_table(study, recipe, node, table, research_seed):
        found.attempt(rule)
    if recipe.labels and found.labels is not None and found.labels.labelled:
        found.asked += label_findings(found.labels, study.expected.default_rate)
    found.asked += column_findings(table, described(node).columns, features)
    if not recipe.aligned(study):
        return
    tag = key_tag_of(study, research=research_seed is not None)
    found.new = found.attempt(lambda: ~node.store.pseudonyms.known(tag, table.ids))


def _labelled(study: Study, recipe: Recipe, found: Looked) -> int | None:
    return None if found.table is None else labelled_rows(study, recipe, found.node, found.table)


def _check_budget(study: Study, recipe: Recipe, found: Looked) -> None:
    node, plan = found.node, recipe.plan(study, found.brought.features)
    fits_budget(node.ledger, study, plan, node.name, "check")
