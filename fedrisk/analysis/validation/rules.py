"""What a validation holds a model against: master scale, levels, limits, deductions, from a TOML file."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE, MasterScale, letters
from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.study_sections import Settings
from fedrisk.toml_file import load_toml

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Open = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class ScaleRules(Settings):
    """Grades: either ``edges`` of one's own, or so many ``grades`` with edges in equal ratio between from and to.

    names: of grades, safest first; letters by default.
    """

    edges: tuple[Open, ...] | None = None
    grades: Annotated[int, Field(ge=2, le=40)] | None = None
    first: Open | None = Field(default=None, alias="from")
    last: Open | None = Field(default=None, alias="to")
    names: tuple[Annotated[str, Field(min_length=1, max_length=12)], ...] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        even = (self.grades, self.first, self.last)
        if self.edges is not None and any(v is not None for v in even):
            raise ValueError("state edges, or grades with from and to, not both")
        if self.edges is None and any(v is not None for v in even) and None in even:
            raise ValueError("a scale in equal ratio needs grades, from and to")
        try:
            self.scale()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def scale(self) -> MasterScale:
        """The master scale."""
        if self.edges is not None:
            return MasterScale(self.names or letters(len(self.edges) + 1), self.edges)
        if self.grades is not None and self.first is not None and self.last is not None:
            return MasterScale.geometric(self.grades, self.first, self.last, self.names)
        return MasterScale(self.names or DEFAULT_SCALE.names, DEFAULT_SCALE.edges)


class Limits(Settings):
    """Bounds of the bank's own, beside the tests.

    largest_grade: share of customers in one grade from which concentration is yellow. stable, moved: of the stability
    index. fall: of the AUC against development, from which a fall that a test shows is red rather than yellow.
    overrides: share of overridden grades from which it is yellow.
    """

    largest_grade: Share = 0.4
    stable: Annotated[float, Field(gt=0, le=5)] = 0.1
    moved: Annotated[float, Field(gt=0, le=5)] = 0.25
    fall: Share = 0.05
    least_auc: Share = 0.6
    overrides: Share = 0.1

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.moved <= self.stable:
            raise ValueError("moved must be above stable")
        return self


class Conservatism(Settings):
    """Margin of conservatism on a grade's probability of default.

    confidence: one-sided, of the part for estimation error (category C). data, changes: parts for data and methods
    (category A) and for changes of policy or portfolio (category B), as shares of the probability: set by a person.
    points: whether the error of the points is in the part for estimation error.
    """

    confidence: Open = 0.9
    data: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.0
    changes: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.0
    points: bool = True


class LowDefault(Settings):
    """Bounds for grades with few defaults. correlation: of assets, 0 for independent defaults."""

    confidence: Annotated[tuple[Open, ...], Field(min_length=1, max_length=5)] = (0.5, 0.75, 0.9)
    correlation: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0


class ValidationRules(Settings):
    """All of it; each part has a default. level: of every test."""

    level: Annotated[float, Field(gt=0, le=0.5, allow_inf_nan=False)] = 0.05
    scale: ScaleRules = ScaleRules()
    limits: Limits = Limits()
    conservatism: Conservatism = Conservatism()
    low_default: LowDefault = LowDefault()


def load_rules(path: str | Path | None) -> ValidationRules:
    """Rules of a TOML file, or the default ones; ConfigError names each rule that the file breaks."""
    if path is None:
        return ValidationRules()
    return checked(
        ValidationRules, load_toml(Path(path), what="validation rules"), where=f"validation rules {path}"
    )
