"""A recipe: one kind of study, with its public settings, its price and its two sides.

A recipe is one dataclass of functions (cf. fedjax's ``FederatedAlgorithm``), in a folder of :mod:`fedrisk.recipes`.
Everything that asks "which kind of study is this" asks here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.findings import Finding
from fedrisk.privacy.accounting import LABEL_IN_VECTORS
from fedrisk.protocol.actions import Action
from fedrisk.releases.plan import Plan
from fedrisk.study import OTHER_ACTIONS, Study
from fedrisk.study_sections import Settings

if TYPE_CHECKING:
    from fedrisk.clients.attempt import Attempt
    from fedrisk.clients.node import Node
    from fedrisk.data.table import Table
    from fedrisk.models.edited_card import EditedCard
    from fedrisk.models.model_part import ModelPart
    from fedrisk.privacy.policy import Policy
    from fedrisk.recipes.scorecard.choices import Chosen
    from fedrisk.server.hub import Hub
    from fedrisk.server.knowledge import Beforehand
    from fedrisk.server.outcome import HubSession, Outcome


ALIGNMENT = ("describe", "blind", "evaluate", "pseudonyms")
"""Actions of every recipe before its own."""


class MakePlan(Protocol):
    """Study, public columns and rows -> every release, its noise and its price.

    rows: on all trainers' lists, as these state them (protocol/statements.trainer_rows); None where they are not known
    yet. The price must not depend on them.
    """

    def __call__(self, study: Study, features: Sequence[Feature], rows: int | None = None) -> Plan:
        """The plan; ConfigError where there can be none."""


Cell = str | int | float | Finding | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table of a report, as codes and figures: a heading, columns, and rows of cells.

    A cell is a text, a number, a :class:`Finding` or None. ``line``: numbers for a small line plot below the table.
    """

    code: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    line: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Brought:
    """What an institution brings into a study, found when the study is described to it.

    features: its public columns. stated: more public facts for the hub. remembered: what it keeps for itself until the
    attempt is over.
    """

    features: tuple[Feature, ...] = ()
    stated: Mapping[str, Any] = field(default_factory=dict)
    remembered: Mapping[str, Any] = field(default_factory=dict)


def _nothing(node: "Node", study: Study, table: "Table", research_seed: int | None) -> None:
    """No later exchange refuses what could be known when the study is described."""


def _always(study: Study) -> bool:
    return True


def _no_rules(study: Study, policy: "Policy", institution: str) -> list[str]:
    return []


def _as_they_are(settings: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    return settings


def _nothing_foreseen(
    known: "Beforehand", features: Sequence[Feature], rows: int | None
) -> tuple[Finding, ...]:
    return ()


def _first_format(study: Study) -> int:
    return 1


def _asks_nothing(study: Study) -> tuple[str, ...]:
    return ()


def _no_baselines(study: Study) -> Mapping[str, Study]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One kind of study.

    name: as study files say it. settings: the section of the study file with that name; checks itself.
    members: who has to take part and to bring columns (once these are known), and which shared sections may be there;
        ConfigError.
    plan: every release, its noise and its price, from public numbers alone; ConfigError where it cannot be.
    expect: what ``check`` says beforehand, from the plan and the rows of each institution. foresee: what it says after
        seconds of simulation, from the columns and rows that all state and what is known beforehand.
        choose: how a study may spend, from the same; None where there is nothing to choose.
    brings: at an institution, what it brings into the study; its errors refuse the study.
    beforehand: at an institution, with its table: what an exchange before the first charge would refuse and can be
        known when the study is described; its errors refuse the study.
    hub: the hub's side, exchanges and then arithmetic. actions: what a node answers, besides what all recipes share.
    summary: sections for the report. baselines: studies to hold a research run against, by heading. requires:
    optional packages, asked for before anything is paid. fetch: at an institution, makes what a study leaves there from
    what its attempt kept, and gives what writes it; nothing is released or charged. part: at an institution, its part
    of the model that serves, as it follows from what its attempt kept; None where a recipe leaves none. edited_part:
    the same of an edited card, once it follows from what its attempt kept. aligned: whether a study's rows are aligned;
    without alignment the first exchange of the recipe follows describe, and tells all who takes part.
    format: the format in which a study is stated at least, so that no version takes part which would do less for it.
    labels: whether banks bring labels, on which something is learnt and evaluated. label_price: what a flipped label
    costs, in prices of a record made zero: twice, unless it is proved to be less. breaks: what of a policy a study
    breaks besides what all recipes share, in words (Policy.broken). asks: what a person who decides about a study reads
    of its settings. spared: the settings without some optional institutions, where they name any. knows: at the hub,
    the study with what it knows beforehand looked up and stated (server/knowledge); told whether it is a research run.

    The functions import what they need when they are called: a node that never trains never loads torch.
    """

    name: str
    settings: type[Settings]
    members: Callable[[Study, Sequence[Feature] | None], None]
    plan: MakePlan
    expect: Callable[[Study, Plan, Mapping[str, int]], tuple[Finding, ...]]
    brings: Callable[["Node", Study, int | None], Brought]
    hub: Callable[["HubSession", Plan], "Outcome"]
    actions: Callable[[], tuple[Action, ...]]
    summary: Callable[["Outcome"], tuple[Section, ...]]
    requires: tuple[str, ...] = ()
    beforehand: Callable[["Node", Study, "Table", int | None], None] = _nothing
    fetch: "Callable[[Attempt], Callable[[], None]] | None" = None
    part: Callable[["Attempt"], "ModelPart"] | None = None
    edited_part: Callable[["Attempt", "EditedCard"], "ModelPart"] | None = None
    baselines: Callable[[Study], Mapping[str, Study]] = _no_baselines
    aligned: Callable[[Study], bool] = _always
    format: Callable[[Study], int] = _first_format
    labels: bool = True
    label_price: float = LABEL_IN_VECTORS
    breaks: Callable[[Study, "Policy", str], list[str]] = _no_rules
    asks: Callable[[Study], tuple[str, ...]] = _asks_nothing
    foresee: Callable[["Beforehand", Sequence[Feature], int | None], tuple[Finding, ...]] = _nothing_foreseen
    choose: "Callable[[Beforehand, Sequence[Feature], int | None], Chosen] | None" = None
    spared: Callable[[Mapping[str, Any], Collection[str]], Mapping[str, Any]] = _as_they_are
    knows: Callable[[Study, "Hub", bool], "Beforehand"] | None = None

    def checked(self, study: Study, *, where: str = "study") -> Study:
        """The study with this recipe's settings checked and filled in; ConfigError lists what is wrong."""
        settings = checked(self.settings, study.settings, where=f"{where}, section [{self.name}],")
        full = study.model_copy(update={"settings": settings.model_dump(mode="json")})
        try:
            self._check_deadlines(study)
            self._check_groups(study)
            self._check_label(study)
            self.members(full, None)
        except ConfigError as error:
            raise ConfigError(f"{where} breaks 1 rule(s):\n  {error}") from None
        needed = max(self.format(full), full.least_format)
        return full if full.format >= needed else full.model_copy(update={"format": needed})

    def without(self, study: Study, names: Collection[str]) -> Study:
        """The same study without some institutions, checked; ConfigError where the recipe cannot do without them."""
        smaller = study.without(names)
        settings = self.spared(smaller.settings, names)
        return self.checked(smaller.model_copy(update={"settings": settings}))

    def _check_deadlines(self, study: Study) -> None:
        """ConfigError where a deadline is for an action that there is none of: a misspelt one would be no deadline."""
        if not study.deadlines:
            return
        known = {*ALIGNMENT, *(action.name for action in self.actions()), OTHER_ACTIONS}
        unknown = sorted(set(study.deadlines) - known)
        if unknown:
            raise ConfigError(
                f"deadlines.{unknown[0]} is of no action of recipe {self.name}; there are {', '.join(sorted(known))}"
            )

    def _check_groups(self, study: Study) -> None:
        """ConfigError where an evaluation by groups is asked for and nothing would be evaluated."""
        if study.evaluation.groups and not (self.labels and study.banks):
            raise ConfigError(
                f"evaluation.groups is of models that banks' labels are held against, and recipe {self.name} makes "
                "none; remove it"
            )

    def _check_label(self, study: Study) -> None:
        """ConfigError where a label is named and nothing is learnt on one, or a threshold is asked for without."""
        learns = self.labels and study.banks
        if study.label is not None and not learns:
            raise ConfigError(
                f"label names what is learnt at banks, and recipe {self.name} learns on no label here; remove it"
            )
        if study.warning is not None and self.name != "scorecard":
            raise ConfigError(
                f"[warning] is of a scorecard's scores, and the recipe is {self.name}; remove it, or take the scorecard"
            )

    def require(self) -> None:
        """ConfigError where an optional package that the recipe needs is not installed."""
        missing = [name for name in self.requires if find_spec(name) is None]
        if missing:
            raise ConfigError(
                f"recipe {self.name} needs {', '.join(missing)}, which is not installed; "
                "run pip install fedrisk[neural]"
            )
