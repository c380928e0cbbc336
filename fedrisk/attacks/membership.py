"""Whether an enterprise was among the training rows of a scorecard, from all that was published of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fedrisk.attacks.attack import Attack, Effort, Estimate, Measured
from fedrisk.attacks.coin_games import (
    CONFIDENCE,
    LOW_FPR,
    accuracy,
    area,
    gdp_accuracy,
    gdp_area,
    gdp_power,
    power,
    threshold_of,
)
from fedrisk.attacks.membership_game import Games, outlying, play, standing
from fedrisk.attacks.shadow_attackers import each, stacked
from fedrisk.attacks.stated_columns import HOLDER, consortium
from fedrisk.attacks.study_as_simulated import exact_difference, noise_share
from fedrisk.attacks.study_in_sums import Rows, Simulator
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.releases.budget import total_mu

Floats = NDArray[np.float64]
Coins = NDArray[np.bool_]

NAME = "membership"
RATIO = "Carlini et al. (2022)"
METHODS = {
    "likelihood_ratio": RATIO,
    "offline_ratio": RATIO,
    "loss": "Yeom et al. (2018)",
    "nearest": "Cover & Hart (1967)",
    "totals": "Neyman & Pearson (1933)",
    "stack": "Wolpert (1992)",
    "outsider": "Dong, Roth & Su (2022)",
    "holder": "Dong, Roth & Su (2022)",
}
PARTY = {"holder": "bank_zeroed"}
"""Whose record is in question where it is not the enterprise's at all members."""

WORST, RANDOM = 8, 12
"""Targets that stand out, and others."""


@dataclass(frozen=True)
class Size:
    """How much is played: enterprises of the province, budgets, studies for shadows, stacking and the attack itself."""

    enterprises: int
    epsilons: tuple[float, ...]
    shadows: int
    stack: int
    attacked: int
    small_bank: int
    private: int

    @property
    def studies(self) -> int:
        """Studies of each budget."""
        return self.shadows + self.stack + self.attacked


QUICK = Size(900, (3.0,), 50, 40, 110, 24, 1)
FULL = Size(900, (0.5, 1.0, 3.0), 300, 300, 1200, 24, 4)


def run(folder: Path, effort: Effort) -> Iterator[Measured]:
    """All figures; see the module's text and `membership_game`."""
    size = QUICK if effort.quick else FULL
    made = consortium(folder / "membership", size.enterprises, effort.seed)
    found = made.run(made.with_study(privacy={"epsilon": math.inf}), research_seed=effort.seed)
    rows = Rows.of(found, made.tables)
    yield _same(exact_difference(found, rows))
    private = [
        made.run(made.with_study(privacy={"epsilon": 3.0}, name=f"noise{k}"), own=False)
        for k in range(size.private)
    ]
    yield _noise(noise_share([(run, Rows.of(run, made.tables)) for run in private]))
    rng = np.random.default_rng(effort.seed)
    for epsilon in size.epsilons:
        simulator = Simulator(_at(rows, epsilon, found.plan.features))
        yield from _figures(simulator, _games(simulator, size, rng), size)
    small = _at(rows.taken(few(rows, size.small_bank)), 3.0, found.plan.features)
    without = Simulator(small, noise=False)
    yield from _figures(without, _games(without, size, rng), size, control="noise")


def stated_at(rows: Rows, epsilon: float, features: Any, number: int) -> Rows:
    """The rows in studies of a budget and of so many training rows, which are public. features: of the columns."""
    return rows.at(epsilon, number, lambda study, count: make_plan(study, features, count))


def _at(rows: Rows, epsilon: float, features: Any) -> Rows:
    return stated_at(rows, epsilon, features, len(rows) // 2)


def few(rows: Rows, number: int) -> NDArray[np.intp]:
    """Rows of a small bank, those that were made to stand out among them."""
    crafted = np.flatnonzero([str(enterprise).startswith("CRAFTED") for enterprise in rows.ids])
    others = np.setdiff1d(np.arange(len(rows)), crafted)
    return np.concatenate([crafted, others[: number - len(crafted)]])


def _games(simulator: Simulator, size: Size, rng: np.random.Generator) -> Games:
    worst = list(dict.fromkeys([*standing(simulator, rng, HOLDER, WORST // 2), *outlying(simulator, WORST)]))
    worst = worst[:WORST]
    rest = rng.permutation([k for k in range(len(simulator.rows)) if k not in worst])[:RANDOM]
    return play(simulator, [*worst, *(int(k) for k in rest)], size.studies, rng, HOLDER)


def _figures(simulator: Simulator, games: Games, size: Size, control: str = "") -> Iterator[Measured]:
    study = simulator.rows.facts.study
    mu, epsilon = total_mu(study), study.privacy.epsilon
    if not control:
        yield from _distances(games, mu, epsilon)
    for name, trials in _trials(games, size, noisy=not control).items():
        for targets in ("worst", "random"):
            yield from _of_attacker(name, trials[targets], mu, (targets, f"epsilon_{epsilon:g}"), control)


def _distances(games: Games, mu: float, epsilon: float) -> Iterator[Measured]:
    """Greatest distance between the two hypotheses of any target in any study: exact, once noise is as it is stated."""
    for name, distance in (("outsider", games.outsider_mu), ("holder", games.holder_mu)):
        most = float(distance.max())
        target = f"scorecard/{name}/worst/epsilon_{epsilon:g}"
        found = Estimate(most, most, most, distance.size)
        yield _measured(target, PARTY.get(name, "everywhere_zeroed"), "mu", found, METHODS[name], claimed=mu)


@dataclass(frozen=True)
class Trials:
    """One target of each study: what an attacker says of it, and its coin. before: the same of studies before.

    standard: the score where it has a standard normal distribution without the target, as those have who know all
    others and the noise; None of all others, and where nothing is noisy.
    """

    score: Floats
    coin: Coins
    before: tuple[Floats, Coins]
    standard: Floats | None = None

    def tested(self, mu: float) -> tuple[Estimate, float]:
        """True positives at one false alarm in a thousand, and the most of them that mu allows.

        A threshold on a standard normal needs no trials, so that the claim is that of one in a thousand. Any other
        threshold is from the studies before, and the claim that of the false alarms there may have been.
        """
        if self.standard is not None:
            return power(self.standard, self.coin, -float(ndtri(LOW_FPR))).true, gdp_power(LOW_FPR, mu)
        tested = power(self.score, self.coin, threshold_of(*self.before))
        return tested.true, tested.bound(mu)


def _trials(games: Games, size: Size, *, noisy: bool) -> dict[str, dict[str, Trials]]:
    """By attacker and kind of target. Shadows are the first studies, then come those that stacking learns from."""
    first, second = size.shadows, size.shadows + size.stack
    shadows, learnt, attacked = games.seen[:first], games.seen[first:second], games.seen[second:]
    before, now = each(shadows, learnt), each(shadows, attacked)
    now["stack"] = stacked(before, learnt.coin, now)
    before["stack"] = stacked(before, learnt.coin, before)
    standard = {}
    for name in ("outsider", "holder"):
        # In deviations of the noise, so that one threshold serves for all.
        distance = getattr(games, f"{name}_mu")
        score = getattr(games, name) / distance
        before[name], now[name] = score[first:second], score[second:]
        if noisy:
            standard[name] = now[name] + distance[second:] / 2
    kinds = {"worst": slice(0, WORST), "random": slice(WORST, None)}
    return {
        name: {
            kind: Trials(
                _one_each(now[name][:, part]),
                _one_each(attacked.coin[:, part]),
                (before[name][:, part].ravel(), learnt.coin[:, part].ravel()),
                _one_each(standard[name][:, part]) if name in standard else None,
            )
            for kind, part in kinds.items()
        }
        for name in now
    }


def _one_each(table: Any) -> Any:
    """One target of each study in turn, so that trials are independent."""
    return table[np.arange(len(table)), np.arange(len(table)) % table.shape[1]]


TESTED = ("stack", "outsider", "holder", "likelihood_ratio")
"""Attackers whose true positives are counted."""

AS_CONTROL = ("stack", "outsider", "holder", "totals")
"""Attackers that have to succeed without noise, of a bank with fewer customers than there are numbers. A card by itself
tells less than the bound even then, since it is smoothed as if there were noise."""


SHARP = ("outsider", "holder")
"""Attackers whose scores have nearly the same normal for every target, so that a threshold is met without noise too."""


def _of_attacker(
    name: str, trials: Trials, mu: float, kind: Sequence[str], control: str
) -> Iterator[Measured]:
    if control and (name not in AS_CONTROL or kind[0] != "worst"):
        return
    target, party = "/".join(("scorecard", name, *kind)), PARTY.get(name, "everywhere_zeroed")
    found, method = area(trials.score, trials.coin), METHODS[name]
    yield _measured(target, party, "auc", found, method, chance=0.5, claimed=gdp_area(mu), control=control)
    if name not in TESTED or kind[0] != "worst":
        return
    found = accuracy(trials.score, trials.coin)
    claimed = gdp_accuracy(mu)
    yield _measured(target, party, "accuracy", found, method, chance=0.5, claimed=claimed, control=control)
    if control and name not in SHARP:
        return
    found, claimed = trials.tested(mu)
    figure = "tpr_at_fpr_0.001"
    yield _measured(target, party, figure, found, method, chance=LOW_FPR, claimed=claimed, control=control)


def _same(difference: float) -> Measured:
    found = Estimate.exact(difference)
    return _measured("scorecard/simulation", "", "difference", found, "", claimed=0.0)


def _noise(found: Estimate) -> Measured:
    return _measured("scorecard/simulation", "", "stated_noise", found, "", claimed=1.0)


def _measured(target: str, party: str, figure: str, found: Estimate, method: str, **about: Any) -> Measured:
    about |= {"attack": NAME, "target": target, "party": party, "figure": figure, "method": method}
    return Measured.of(found, confidence=CONFIDENCE, **about)


ATTACK = Attack(
    name=NAME,
    attacker="Anybody who reads what a scorecard study published, or a member that adds what it knows itself",
    knows="The whole record of an enterprise, the population, and in two cases everybody else who takes part",
    wants="Whether the enterprise was among the training rows",
    how="Several attackers look at thousands of studies, each enterprise in or out by a coin, and are stacked; what "
    "leaves the studies is simulated in sums, by the product's own code, and compared with real studies first",
    sources=(
        "Carlini et al. (2022)",
        "Yeom et al. (2018)",
        "Dong, Roth & Su (2022)",
        "Wolpert (1992)",
    ),
    run=run,
)
