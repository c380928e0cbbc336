"""Which of its enterprises default at a bank: what a data holder infers of labels from all that it sees.

A holder sees the totals that all members are told, with its own noise in them, the card, its own columns, the order
of rows, and masked matrices. These are numbers of a ring under one-time masks, so that they are uniform whatever the
labels are (`tests/unit/secure`). Attacks on labels by gradients or embeddings (Li et al. 2022; Fu et al. 2022) have
nothing to work on: in a scorecard nobody sends a holder anything of a single row, and a network behind an external
score is trained at banks alone; holders get neither gradients nor losses.

What a card says of an enterprise that was never in the study is inference from a model, which it is made for. So a
label is leaked only as far as it is guessed better with its row in the training than without: by a coin in place of
one label, with all other labels known, or by the difference between training rows and hold-out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from fedrisk.attacks.attack import Attack, Effort, Estimate, Measured
from fedrisk.attacks.coin_games import CONFIDENCE, accuracy, area, by_study, gdp_accuracy, gdp_area
from fedrisk.attacks.membership import few, stated_at
from fedrisk.attacks.membership_game import layers_of, noise_of
from fedrisk.attacks.stated_columns import HOLDER, consortium
from fedrisk.attacks.study_in_sums import Rows, Simulator, Study
from fedrisk.releases.budget import total_mu

Floats = NDArray[np.float64]

NAME = "labels"

FLIPPED = math.sqrt(2)
"""A default where there was none is two cells in place of one: the price of a label is so many times mu."""


@dataclass(frozen=True)
class Size:
    """enterprises of the province; budgets; coins, splits: studies of either kind; small_bank: of the control."""

    enterprises: int
    epsilons: tuple[float, ...]
    coins: int
    splits: int
    small_bank: int


QUICK, FULL = Size(900, (3.0,), 120, 60, 60), Size(900, (0.5, 1.0, 3.0), 1500, 300, 60)


def run(folder: Path, effort: Effort) -> Iterator[Measured]:
    """All figures; see the module's text."""
    size = QUICK if effort.quick else FULL
    made = consortium(folder / NAME, size.enterprises, effort.seed)
    found = made.run(made.with_study(privacy={"epsilon": math.inf}), research_seed=effort.seed)
    rows, rng = Rows.of(found, made.tables), np.random.default_rng(effort.seed)
    for epsilon in size.epsilons:
        stated = stated_at(rows, epsilon, found.plan.features, len(rows))
        yield from _by_coin(stated, size.coins, rng)
        yield from _by_split(stated, size.splits, rng)
        yield from _by_difference(stated, size.coins, rng)
    small = rows.taken(few(rows, size.small_bank))
    small = stated_at(small, 3.0, found.plan.features, len(small))
    yield from _by_coin(small, size.coins, rng, control="noise")
    yield from _by_difference(small, size.coins, rng, control="noise")


def _by_coin(rows: Rows, studies: int, rng: np.random.Generator, control: str = "") -> Iterator[Measured]:
    """The label of one row is a coin, all others are known to the holder."""
    mu, kind = FLIPPED * total_mu(rows.facts.study), f"epsilon_{rows.facts.study.privacy.epsilon:g}"
    coin = rng.random(studies) < 0.5
    at = rng.integers(len(rows), size=studies)
    found = [_coin_of(rows, int(k), bool(c), rng, noise=not control) for k, c in zip(at, coin, strict=True)]
    score, distance = np.array(found).T
    target, method = f"scorecard/known_others/random/{kind}", "Neyman & Pearson (1933)"
    most = float(distance.max())
    if not control:
        yield _measured(target, "mu", Estimate(most, most, most, studies), method, claimed=mu)
    for figure, value, claimed in (
        ("auc", area(score / distance, coin), gdp_area(mu)),
        ("accuracy", accuracy(score, coin), gdp_accuracy(mu)),
    ):
        yield _measured(target, figure, value, method, chance=0.5, claimed=claimed, control=control)


def _coin_of(
    rows: Rows, target: int, coin: bool, rng: np.random.Generator, *, noise: bool
) -> tuple[float, float]:
    """Log likelihood ratio of a default against none, as the holder sees it, and the distance of the two."""
    label = rows.label.copy()
    label[target] = float(coin)
    simulator = Simulator(replace(rows, label=label), noise=noise)
    part = np.ones(len(rows), bool)
    made = simulator.study(part, rng)
    totals, layers = layers_of(simulator, made)
    here = np.concatenate([layer.parts for layer in layers], 1)
    label[target] = float(not coin)
    _, flipped = layers_of(Simulator(replace(rows, label=label)), made)
    other = np.concatenate([layer.parts[target] for layer in flipped])
    one, zero = (here[target], other) if coin else (other, here[target])
    goes, covariance = one - zero, noise_of(layers, HOLDER)
    weighted = np.linalg.solve(covariance, goes)
    left = totals - here.sum(0) + here[target] - (one + zero) / 2
    return float(weighted @ left), float(np.sqrt(weighted @ goes))


def _by_split(rows: Rows, studies: int, rng: np.random.Generator) -> Iterator[Measured]:
    """How much better the holder ranks labels of training rows than those of the hold-out, by all that it sees.

    Two rows are ranked, one of each label: the price of leaving out both is twice mu.
    """
    mu, kind = total_mu(rows.facts.study), f"epsilon_{rows.facts.study.privacy.epsilon:g}"
    simulator, gains, inside = Simulator(rows), [], []
    for _ in range(studies):
        part = rng.random(len(rows)) < 0.7
        guess = _guess(simulator, simulator.study(part, rng), part)
        ranked = [area(guess[side], rows.label[side] == 1).value for side in (part, ~part)]
        gains.append(ranked[0] - ranked[1])
        inside.append(ranked[1])
    target = f"scorecard/own_view/random/{kind}"
    claimed = 2 * gdp_accuracy(2 * mu) - 1
    found = by_study(np.array(gains), studies)
    most = 1.0 - float(np.mean(inside))
    yield _measured(target, "auc_gained", found, "Yeom et al. (2018)", chance=0.0, claimed=claimed, most=most)
    # For the reader: how well labels are guessed of enterprises that were never in. No bound: a card is for that.
    yield _measured(target, "auc_of_the_card", by_study(np.array(inside), studies), "Yeom et al. (2018)")


def _guess(simulator: Simulator, made: Study, part: NDArray[np.bool_]) -> Floats:
    """Log-odds of a default of each row, in the study or not: what the card says, and what the totals have left.

    The holder takes its own noise out of its total of defaults by bin, and holds it against what the card would expect.
    """
    rows, card = simulator.rows, made.card
    points = card.institution_points(HOLDER, list(rows.codes[HOLDER].T))
    odds = -points / card.scale.factor
    odds = odds - odds.mean() + logit(np.clip(card.rate, 1e-6, 1 - 1e-6))
    p, hot = expit(odds), simulator.first.rows[f"{HOLDER}.all"]
    block = simulator.first.release.block(HOLDER)
    unit = 4.0**simulator.first.release.scale_bits
    # The noise that is left is the banks'.
    variance = sum(s * s / unit for name, s in block.sigma.items() if name != HOLDER)
    total = made.counts[HOLDER] - made.own[HOLDER]
    inside = hot[part]
    spread = inside.T @ (inside * (p * (1 - p))[part, None]) + (variance + 1e-9) * np.eye(hot.shape[1])
    left = np.linalg.solve(spread, total - p[part] @ inside)
    # Of rows that were never in as well: what totals say of a population is no leak of a label.
    return np.asarray(odds + hot @ left, float)


def _by_difference(
    rows: Rows, studies: int, rng: np.random.Generator, control: str = ""
) -> Iterator[Measured]:
    """Two studies that differ by one customer: without noise the holder's totals differ by its label."""
    # Each of both studies has its price.
    mu = FLIPPED * total_mu(rows.facts.study) * math.sqrt(2)
    simulator, first = Simulator(rows, noise=not control), Simulator(rows).first
    coin = rng.random(studies) < 0.5
    score = np.zeros(studies)
    for k, bad in enumerate(coin):
        part, target = rng.random(len(rows)) < 0.7, int(rng.choice(np.flatnonzero(rows.label == bad)))
        totals = []
        for there in (True, False):
            part[target] = there
            totals.append(simulator.noisy(first.release, first.exact(part.astype(float)), rng)[HOLDER])
        # One more in one bin of each of the holder's columns, where it defaulted.
        score[k] = first.rows[f"{HOLDER}.all"][target] @ (totals[0] - totals[1] - 0.5)
    target_name = f"scorecard/two_studies/random/epsilon_{rows.facts.study.privacy.epsilon:g}"
    found, claimed = accuracy(score, coin), gdp_accuracy(mu)
    method = "Neyman & Pearson (1933)"
    yield _measured(target_name, "accuracy", found, method, chance=0.5, claimed=claimed, control=control)


def _measured(target: str, figure: str, found: Estimate, method: str, **about: Any) -> Measured:
    about |= {"attack": NAME, "target": target, "party": "bank_flipped", "figure": figure, "method": method}
    return Measured.of(found, confidence=CONFIDENCE, **about)


ATTACK = Attack(
    name=NAME,
    attacker="A data holder",
    knows="Its own columns and noise, everything that members are told, and in one case all other labels",
    wants="Whether an enterprise that it knows defaulted at a bank",
    how="It takes its own noise out of its totals and asks which label fits better; what the card says of enterprises "
    "that were never in the study does not count, as a card is for that",
    sources=("Yeom et al. (2018)", "Dong, Roth & Su (2022)"),
    run=run,
)
