"""What scores tell a bank of the columns behind them, in bits, as versions and resolution grow (Luo et al. 2021).

A bank gets a sum of points of every enterprise on its list by each version of a score: from a study, by requests or by
a list, which give the same sum (`docs/serving.md`). It knows the card, and we grant it the joint distribution of all
columns in the population, so that bits are those of the best attack there can be (`score_reading`). Two banks: one that
takes the cards of honest studies, and one that has the hub on its side, so that the totals are made up such that points
tell bins (`crafted`).

The bound is a policy's: ``score_values`` different values of a sum, ten bands where a holder gives bands, and
``scored_versions`` versions a year. It is a bound of the number of bits, not of which ones.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.attacks.attack import Attack, Effort, Measured
from fedrisk.attacks.consortium import Consortium, build
from fedrisk.attacks.controls import unbounded_points
from fedrisk.attacks.crafted import Targets, bits, digits, lying, one_column
from fedrisk.attacks.score_reading import Population, Version
from fedrisk.attacks.small_province import HOLDERS, province
from fedrisk.models.given_points import BANDS
from fedrisk.privacy.policy import Policy

NAME = "score_inversion"
METHOD = "Luo et al. (2021)"

Ints = NDArray[np.int64]

MONTHLY = 13
"""Versions of a score of one enterprise in a year where a holder allows one a month, far more than the policy's 2."""

FEW_VALUES = 16
"""The fewest values that a policy may allow; under these the control is played, as any card has more bits."""


@dataclass(frozen=True)
class Size:
    """population: enterprises over whom bits are meant.

    versions: of honest studies; large: of those of many enterprises; crafted: of made-up ones.
    """

    population: int
    versions: int
    large: int
    crafted: int


QUICK, FULL = Size(20_000, 2, 0, 2), Size(20_000, MONTHLY, 4, 4)


@dataclass(frozen=True)
class Access:
    """How scores are given: holders behind them, what policies and study say of it, and enterprises of the study."""

    name: str
    holders: Sequence[str]
    policy: Mapping[str, Any]
    study: Mapping[str, Any]
    enterprises: int = 1500


POINTS = Access("points", HOLDERS, {"band_columns": 2}, {})
BANDED = Access("bands", HOLDERS[:1], {}, {})
THEMES = Access(
    "themes", HOLDERS, {"band_columns": 2, "score_themes": True}, {"scorecard": {"themes": "holders"}}
)
LARGE = Access("points_large", HOLDERS, {"band_columns": 2}, {}, enterprises=12_000)
FEW = Access("few_values", HOLDERS, {"band_columns": 2, "score_values": FEW_VALUES}, {})


def run(folder: Path, effort: Effort) -> Iterator[Measured]:
    """All figures; see the module's text."""
    size = QUICK if effort.quick else FULL
    tables = province(size.population, effort.seed + 1)
    population = Population(tables["alfa"]["id"].to_numpy(object), tables)
    each = ((POINTS, size.versions), (BANDED, size.versions), (THEMES, 1), (LARGE, size.large))
    for access, versions in (e for e in each if e[1]):
        made = _consortium(folder, access, effort)
        yield from _told(access, made, [None] * versions, population)
    targets = [digits, *(one_column(c) for c in ("sales", "growth", "usage"))]
    yield from _told(
        POINTS, _consortium(folder, POINTS, effort, "crafted"), targets[: size.crafted], population
    )
    yield from _told(FEW, _consortium(folder, FEW, effort), [digits], population)
    with unbounded_points():
        made = _consortium(folder, FEW, effort, "unbounded")
        found = list(_told(FEW, made, [digits], population, control="points"))
    yield from found


def _consortium(folder: Path, access: Access, effort: Effort, name: str = "") -> Consortium:
    """A bank and holders; the policy of every institution is the strictest in all that the access does not say."""
    rules = {"scores": "bands", "research": False, **access.policy}
    study = {"privacy": {"epsilon": 3.0}, **access.study}
    return build(
        folder / NAME / (name or access.name),
        ("alfa",),
        access.holders,
        tables=province(access.enterprises, effort.seed),
        policy=rules,
        study=study,
    )


def _told(
    access: Access,
    made: Consortium,
    targets: Sequence[Targets | None],
    population: Population,
    control: str = "",
) -> Iterator[Measured]:
    """Bits of one version after the other, and of all together; a target is what a lying hub wishes for."""
    seen, truth = list[Ints](), list[Ints]()
    for number, target in enumerate(targets, 1):
        study = made.with_study(name=f"version_{number}")
        if target is None:
            found = made.run(study, own=False)
        else:
            with lying(target) as loot:
                found = made.run(study, own=False)
        version = Version.of(found)
        if target is not None:
            yield _opened(access, version, Population(loot.ids, made.tables), loot.external, control)
        seen += version.seen(population)
        truth += population.codes(version.card.bins).values()
        if number in _shown(len(targets)):
            kind = "honest" if target is None else "crafted"
            code = f"scores/{access.name}/{kind}/versions_{number}"
            claimed, there = number * _bound(access, version), bits(*truth)
            yield _bits(code, bits(*seen), len(population), claimed, control, there)
    if not control:
        code = f"scores/{access.name}/{'honest' if target is None else 'crafted'}/versions_{len(targets)}"
        claimed = len(targets) * _bound(access, version)
        yield _best_column(f"{code}/best_column", version, seen, population, claimed)
        # Bins of all versions together: edges move from one to the next, and tell where in a bin a value is.
        yield _bits(f"{code}/there_are", bits(*truth), len(population), None, "")


def _shown(versions: int) -> set[int]:
    return {1, 2, 4, 8, versions} & set(range(1, versions + 1))


def _bound(access: Access, version: Version) -> float:
    """Most bits of one version by the holders' policies, of all of them together."""
    values = access.policy.get("score_values", Policy.model_fields["score_values"].default)
    of_sums = len(version.sums) * math.log2(values)
    alone = all(len(one.holders) == 1 for one in version.sums)
    # Nobody hides a holder that is alone in a sum: it gives bands.
    return min(of_sums, len(version.sums) * math.log2(BANDS)) if alone else of_sums


def _best_column(
    target: str, version: Version, seen: Sequence[Ints], population: Population, claimed: float
) -> Measured:
    """Bits of one column's bins, of the one of whose own bits the greatest share is told."""
    truth = population.codes(version.card.bins)
    own = {key: bits(code) for key, code in truth.items()}
    told = {key: own[key] + bits(*seen) - bits(code, *seen) for key, code in truth.items()}
    best = max(told, key=lambda key: told[key] / max(own[key], 1e-9))
    return _bits(target, told[best], len(population), min(claimed, own[best]), "", own[best])


def _opened(access: Access, version: Version, listed: Population, external: Ints, control: str) -> Measured:
    """Customers of whom the bank opened another sum than follows here from card and grid: none."""
    wrong = float(np.mean(sum(version.seen(listed)) != external))
    return Measured(
        attack=NAME,
        target=f"scores/{access.name}/simulation" + ("/unbounded" if control else ""),
        figure="difference",
        value=wrong,
        low=wrong,
        high=wrong,
        claimed=0.0,
        trials=len(listed),
        method="",
    )


def _bits(
    target: str,
    value: float,
    trials: int,
    claimed: float | None,
    control: str,
    there: float | None = None,
) -> Measured:
    """there: bits that there are to be told; where a claim is no less, it cannot be broken."""
    value = max(value, 0.0)
    return Measured(
        attack=NAME,
        target=target,
        figure="bits",
        value=value,
        low=value,
        high=value,
        claimed=claimed,
        control=control,
        trials=trials,
        method=METHOD,
        most=there,
    )


ATTACK = Attack(
    name=NAME,
    attacker="A bank that gets scores by several versions of a card, alone or with a hub that makes up totals",
    knows="The card, what holders give for a sum, and how all columns go together in the population",
    wants="In which bins of the data holders' columns an enterprise is",
    how="What the sums tell of the bins is worked out exactly over twenty thousand enterprises, by the cards and grids "
    "that real nodes gave, and compared with the sums that the bank opened",
    sources=("Luo et al. (2021)",),
    run=run,
)
