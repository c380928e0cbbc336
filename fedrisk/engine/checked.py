"""What ``fedrisk check`` finds: a line for each institution, and what is said of the study."""

from dataclasses import dataclass

from fedrisk.clients.label_rate import Labels
from fedrisk.data.checks import Check as TableCheck
from fedrisk.data.features import Feature
from fedrisk.engine.together import Common
from fedrisk.findings import Finding
from fedrisk.releases.plan import Plan
from fedrisk.server.knowledge import Beforehand
from fedrisk.study import Study


@dataclass(frozen=True, kw_only=True)
class Line:
    """One institution.

    rows: usable ones of its table, also where a rule is broken. features: columns that it brings. refused: what it
    would refuse for, in words. checks: of its table, the errors among them first. asked: what its people should look
    at, and notes, as codes with figures. labels: at a bank. new: ids that were never aligned under the study's key.
    left_out: whether the study would go on without it, as it is optional. mu: what it would be charged, and speaks: its
    version, where only what is public was looked at.
    """

    name: str
    role: str
    rows: int
    features: int
    refused: tuple[str, ...] = ()
    checks: tuple[TableCheck, ...] = ()
    asked: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    labels: Labels | None = None
    new: int | None = None
    left_out: bool = False
    mu: float | None = None
    speaks: str = ""

    @property
    def errors(self) -> tuple[TableCheck, ...]:
        """Rules that its table breaks."""
        return tuple(c for c in self.checks if c.severity == "error")

    @property
    def broken(self) -> bool:
        """Whether it would refuse."""
        return bool(self.refused or self.errors)

    @property
    def findings(self) -> tuple[str, ...]:
        """What is refused and what its table says, in words."""
        return (*self.refused, *map(str, self.checks))


@dataclass(frozen=True, kw_only=True)
class Check:
    """What can be said of a study before it runs.

    study: its name. content: the study itself. institutions: a line each. refused: what no institution alone refuses,
    in words. common: enterprises that institutions have in common, where all tables are at hand. asked: what does not
    agree with what was declared. plan: releases with price and noise, None where nothing can be priced. expectations:
    what to expect. alone: whether one member looked alone, without anybody else's files. public: whether only what is
    public was looked at, without anybody's files. stated: columns of all roles, as members state them; listed: rows of
    all trainers' lists; known: what the study knows beforehand. By these three a study is planned.
    """

    study: str
    content: Study
    institutions: tuple[Line, ...]
    plan: Plan | None
    expectations: tuple[Finding, ...]
    refused: tuple[str, ...] = ()
    common: tuple[Common, ...] = ()
    asked: tuple[Finding, ...] = ()
    alone: bool = False
    public: bool = False
    stated: tuple[Feature, ...] = ()
    listed: int | None = None
    known: Beforehand | None = None

    @property
    def broken(self) -> bool:
        """Whether the study would be refused."""
        return self.reasons > 0

    @property
    def reasons(self) -> int:
        """For how many reasons it would be refused."""
        lines = [line for line in self.institutions if not line.left_out]
        return len(self.refused) + sum(len(line.refused) + len(line.errors) for line in lines)
