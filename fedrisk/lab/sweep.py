"""The file of a sweep, and the cells that its grid stands for.

A sweep is a grid over data sets, recipes, epsilons, bins, numbers of institutions, seeds and further keys of the study
file. Each point of the grid is a cell: one study, run on its own, and the baselines on its rows.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.lab.cell import Cell
from fedrisk.recipes import RECIPES, recipe_named
from fedrisk.study_sections import Name, Settings
from fedrisk.toml_file import load_toml, near_name

Entry = TypeVar("Entry")

GRIDDED = {
    "recipe": "grid.recipe",
    "institutions": "grid.institutions",
    "privacy.epsilon": "grid.epsilon",
    "bins.count": "grid.bins",
    "holdout.seed": "grid.seed",
}
"""Keys of a study that a sweep's grid sets, and where it does."""

OWN = ("name", "purpose", "format", "settings")
"""Keys of a study that are the data set's or fedrisk's own."""


def _once(values: Sequence[Entry]) -> Sequence[Entry]:
    twice = [v for k, v in enumerate(values) if v in values[:k]]
    if twice:
        raise ValueError(f"names {twice[0]} twice; name each value once")
    return values


def _sensible(epsilon: float) -> float:
    if epsilon > 100 and not math.isinf(epsilon):
        raise ValueError(
            f"{epsilon} is out of range (0, 100]: choose 0.1 to 10, or inf to have no noise at all"
        )
    return epsilon


def _alone_or_listed(value: Any) -> Any:
    """A text by itself is meant as a list of one, but for the two words that are none."""
    return value if value in ("all", "none") or not isinstance(value, str) else [value]


Epsilon = Annotated[float, Field(gt=0), AfterValidator(_sensible)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Bins = Annotated[int, Field(ge=2, le=64)]
Count = Annotated[int, Field(ge=1, le=64)]


class Grid(Settings):
    """Every combination of these is a cell.

    data_set: names of `configs/data_sets`, or paths of such files, from the folder of the sweep's file on. epsilon: inf
    for no noise. bins: about how many for each column; left out, as the dictionaries say. institutions: how many take
    part; left out, all. seed: draws the hold-out, the noise and a simulated data set. settings: variants of further
    keys of the study file; an empty one is the study as it is.
    """

    data_set: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_once)]
    recipe: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_once)] = ("scorecard",)
    epsilon: Annotated[tuple[Epsilon, ...], Field(min_length=1), AfterValidator(_once)]
    bins: Annotated[tuple[Bins, ...], AfterValidator(_once)] = ()
    institutions: Annotated[tuple[Count, ...], AfterValidator(_once)] = ()
    seed: Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_once)] = (1,)
    settings: Annotated[tuple[Mapping[str, Any], ...], AfterValidator(_once)] = ()


class Sweep(Settings):
    """A sweep as its file says it.

    title: for people, on the page. study: keys of the study file that all cells share. baselines: models without
    fedrisk on the same rows, by their names, or "all" or "none". time_limit: seconds after which a cell is given up.
    """

    name: Name
    title: str = ""
    grid: Grid
    study: Mapping[str, Any] = Field(default_factory=dict)
    baselines: Annotated[
        Literal["all", "none"] | Annotated[tuple[str, ...], AfterValidator(_once)],
        BeforeValidator(_alone_or_listed),
    ] = "none"
    time_limit: Annotated[float, Field(ge=1, le=7 * 86400)] = 1800.0

    @model_validator(mode="after")
    def _keys_of_studies(self) -> "Sweep":
        for place, keys in [("study", self.study), *(("grid.settings", s) for s in self.grid.settings)]:
            for key in flat(keys):
                for taken, instead in GRIDDED.items():
                    if key == taken or key.startswith(f"{taken}."):
                        raise ValueError(f"{place} sets {key}, which the grid does; write it as {instead}")
                if key.split(".")[0] in OWN:
                    raise ValueError(f"{place} sets {key}, which is the data set's own; remove it")
        return self

    @property
    def digest(self) -> str:
        """Names the sweep: the same for the same file, whatever its comments and the order of its keys."""
        content = json.dumps(self.model_dump(mode="python"), sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def cells(self, names: Mapping[str, str]) -> tuple[Cell, ...]:
        """All cells, in the order of the grid's lists: data set, recipe, settings, institutions, bins, epsilon, seed.

        names: of the data sets, by their entry in the grid. Sections of another recipe than a cell's are left out of
        its settings, and a cell that then comes twice is one.
        """
        grid = self.grid
        found = dict.fromkeys(
            _Key(names[data_set], recipe, epsilon, bins, institutions, seed, tuple(_of(recipe, merged)))
            for data_set, recipe, merged, institutions, bins, epsilon, seed in product(
                grid.data_set,
                grid.recipe,
                [flat(self.study) | flat(variant) for variant in grid.settings or ({},)],
                grid.institutions or (None,),
                grid.bins or (None,),
                grid.epsilon,
                grid.seed,
            )
        )
        return tuple(key.cell() for key in found)


class _Key(tuple[Any, ...]):
    """What makes a cell, hashable."""

    def __new__(cls, *parts: Any) -> "_Key":
        return super().__new__(cls, parts)

    def cell(self) -> Cell:
        data_set, recipe, epsilon, bins, institutions, seed, settings = self
        return Cell(
            data_set=data_set,
            recipe=recipe,
            epsilon=epsilon,
            bins=bins,
            institutions=institutions,
            seed=seed,
            settings={key: json.loads(text) for key, text in settings},
        )


def _of(recipe: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys that say something in a study of that recipe, with values as JSON."""
    others = {r.name for r in RECIPES} - {recipe}
    for key in sorted(settings):
        if key.split(".")[0] not in others:
            yield key, json.dumps(settings[key], default=str)


def flat(keys: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Sections within sections as one mapping of ``key.sub`` to value.

    >>> flat({"holdout": {"percent": 40}, "privacy.delta": 1e-5})
    {'holdout.percent': 40, 'privacy.delta': 1e-05}
    """
    found: dict[str, Any] = {}
    for key, value in keys.items():
        inner = isinstance(value, Mapping) and value
        found |= flat(value, f"{before}{key}.") if inner else {f"{before}{key}": value}
    return found


def load_sweep(path: Path) -> Sweep:
    """Read a sweep's file; ConfigError lists every rule that it breaks, and names recipes that there are."""
    sweep = checked(Sweep, load_toml(path, what="sweep"), where=f"sweep {path}")
    wrong = []
    for recipe in sweep.grid.recipe:
        try:
            recipe_named(recipe)
        except ConfigError as error:
            wrong.append(f"[grid] recipe: {error}")
    if wrong:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise ConfigError(f"sweep {path} breaks {len(wrong)} rule(s):\n{lines}")
    return sweep


def chosen(asked: Sequence[str] | str, known: Sequence[str]) -> tuple[str, ...]:
    """Names of the baselines that a sweep asks for, in the order of ``known``; ConfigError names those that there are.

    >>> chosen("all", ["pooled boosting", "bank alone"]), chosen(["bank alone"], ["pooled boosting", "bank alone"])
    (('pooled boosting', 'bank alone'), ('bank alone',))
    """
    if asked == "none":
        return ()
    if asked == "all":
        return tuple(known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        near = near_name(unknown[0], list(known))
        meant = f'; did you mean "{near}"?' if near else ""
        # In quotes: some names have a comma.
        named, there = (", ".join(f'"{name}"' for name in names) for names in (unknown, known))
        raise ConfigError(f'baselines: {named} is unknown; there are {there}, or write "all"{meant}')
    return tuple(name for name in known if name in asked)
