"""Rewards for contributions: an amount divided by rules that a consortium states in a TOML file, exact to the fen.

Weight of each institution: its Shapley value times a factor for the quality of its data. A negative value counts as
zero. So does a value that is less than ``reliability`` times its standard error: what could as well be noise earns
nothing. Shares follow the weights, but none that earns is below ``floor`` or above ``cap``; what is left when all are
at their cap stays undivided. Fen go by largest remainders (`loss_split.apportion`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fedrisk.analysis.contribution import Contributions
from fedrisk.analysis.data_quality import Quality
from fedrisk.analysis.loss_split import apportion
from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.study_members import BANK
from fedrisk.study_sections import Settings
from fedrisk.toml_file import load_toml

Part = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class QualityWeights(Settings):
    """What lacking quality costs: the factor is 1 less each weight times what lacks.

    coverage, completeness: weights; coverage lowers the value itself already. delay: weight of data that are
    ``delay_days`` old or older; younger ones in proportion. Together at most 1.
    """

    coverage: Part = 0.0
    completeness: Part = 0.0
    delay: Part = 0.0
    delay_days: Annotated[int, Field(ge=1, le=3650)] = 90


class Declared(Settings):
    """What an institution declares of its data. delay_days: how old they are when they are used."""

    delay_days: Annotated[int, Field(ge=0, le=3650)]


class RewardRules(Settings):
    """How an amount is divided.

    amount: yuan, as text with at most two decimals. measure: deviance or auc. to: all, or holders alone. floor, cap:
    least and greatest share of one who earns. reliability: least value in standard errors.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    amount: Annotated[str, Field(pattern=r"^\d{1,13}(\.\d{1,2})?$")]
    measure: Literal["deviance", "auc"] = "deviance"
    to: Literal["all", "holders"] = "holders"
    floor: Part = 0.0
    cap: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    reliability: Annotated[float, Field(ge=1, le=10, allow_inf_nan=False)] = 1.0
    quality: QualityWeights = QualityWeights()
    declared: Mapping[str, Declared] = Field(default_factory=dict)

    @property
    def fen(self) -> int:
        """The amount in fen."""
        return int(Fraction(self.amount) * 100)


@dataclass(frozen=True, kw_only=True)
class Reward:
    """What one institution gets.

    factor: of quality. delay_days: as declared, or None. share: of the amount. fen: the amount. why: ``unreliable``
    where it earns nothing for that, ``floor`` or ``cap`` where one of these made the share, else empty.
    """

    institution: str
    factor: float
    delay_days: int | None
    share: float
    fen: int
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """The amount divided. left: fen that nobody gets: all are at their cap, or nobody earns."""

    rules: RewardRules
    rewards: tuple[Reward, ...]
    left: int


def load_reward_rules(path: Path) -> RewardRules:
    """Rules from a TOML file; ConfigError names every rule that it breaks."""
    rules = checked(RewardRules, load_toml(path, what="reward rules"), where=f"reward rules {path}")
    if rules.floor > rules.cap:
        raise ConfigError(
            f"reward rules {path}: floor {rules.floor} is above cap {rules.cap}; lower the floor"
        )
    q = rules.quality
    if q.coverage + q.completeness + q.delay > 1:
        raise ConfigError(f"reward rules {path}: weights of [quality] add up to more than 1; lower them")
    return rules


def rewards(found: Contributions, rules: RewardRules) -> Rewards:
    """The amount by institution, in the order of the contributions; ConfigError where rules and study do not fit."""
    names = [p.institution for p in found.institutions]
    if unknown := sorted(set(rules.declared) - set(names)):
        raise ConfigError(
            f"reward rules: [declared.{unknown[0]}] is of no institution with columns in the study; there are "
            f"{', '.join(names)}"
        )
    if rules.quality.delay and (silent := [n for n in _paid(names, rules) if n not in rules.declared]):
        raise ConfigError(
            f"reward rules: delay has a weight and {silent[0]} declares none; write [declared.{silent[0]}] delay_days"
        )
    weights, why, factors = [], [], []
    for p in found.institutions:
        worth, factor = p.worth[rules.measure], _factor(found.quality[p.institution], p.institution, rules)
        earns = p.institution in _paid(names, rules)
        reliable = worth.says and worth.value >= rules.reliability * worth.error
        weights.append(worth.value * factor if earns and reliable else 0.0)
        why.append("" if not earns or reliable else "unreliable")
        factors.append(factor)
    shares = _shares(weights, rules.floor, rules.cap)
    # A share of 1e-12 of the amount is below a fen.
    fen = apportion(min(round(sum(shares) * rules.fen), rules.fen), shares)
    out = []
    for k, name in enumerate(names):
        if name not in _paid(names, rules):
            continue
        edge = "cap" if weights[k] and shares[k] == rules.cap < 1 else ""
        edge = "floor" if weights[k] and 0 < shares[k] == rules.floor else edge
        declared = rules.declared.get(name)
        out.append(
            Reward(
                institution=name,
                factor=factors[k],
                delay_days=None if declared is None else declared.delay_days,
                share=shares[k],
                fen=fen[k],
                why=why[k] or edge,
            )
        )
    return Rewards(rules=rules, rewards=tuple(out), left=rules.fen - sum(fen))


def _paid(names: Sequence[str], rules: RewardRules) -> list[str]:
    return [n for n in names if rules.to == "all" or n != BANK]


def _factor(quality: Quality, name: str, rules: RewardRules) -> float:
    q, declared = rules.quality, rules.declared.get(name)
    lacks = q.completeness * quality.completeness.lacks
    if quality.coverage is not None:
        lacks += q.coverage * quality.coverage.lacks
    if declared is not None:
        lacks += q.delay * min(declared.delay_days / q.delay_days, 1.0)
    return max(1.0 - lacks, 0.0)


def _shares(weights: Sequence[float], floor: float, cap: float) -> list[float]:
    """Shares by weight within floor and cap; those that earn nothing get nothing. They add up to 1, or to less.

    >>> _shares([8.0, 1.0, 1.0, 0.0], 0.0, 0.5)
    [0.5, 0.25, 0.25, 0.0]
    >>> _shares([98.0, 1.0, 1.0], 0.05, 1.0)
    [0.9, 0.05, 0.05]
    """
    earning = [k for k, w in enumerate(weights) if w > 0]
    if not earning:
        return [0.0] * len(weights)
    if len(earning) * floor > 1:
        raise ConfigError(
            f"reward rules: {len(earning)} institutions at a floor of {floor} are more than the amount; lower the floor"
        )
    target = min(1.0, len(earning) * cap)

    def at(scale: float) -> list[float]:
        return [min(max(w * scale, floor), cap) if w > 0 else 0.0 for w in weights]

    # The sum of shares grows with the scale; at the highest all are at their cap.
    low, high = 0.0, cap / min(weights[k] for k in earning)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(at(middle)) < target else (low, middle)
    return [round(s, 12) for s in at(high)]
