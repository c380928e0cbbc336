"""Whether an enterprise was among the training rows of a network, from its weights and the sums of all its steps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.attacks.attack import Attack, Effort, Estimate, Measured
from fedrisk.attacks.coin_games import CONFIDENCE, LOW_FPR, area, by_study, gdp_area, threshold_of
from fedrisk.attacks.consortium import Consortium, build
from fedrisk.attacks.membership import METHODS
from fedrisk.attacks.shadow_attackers import Seen, each
from fedrisk.attacks.small_province import province
from fedrisk.attacks.stated_columns import BANK_NAME, COLUMNS, HOLDER
from fedrisk.models.trainable import TrainedModel
from fedrisk.releases.gradient_sums import training_plan
from fedrisk.study import Study

if TYPE_CHECKING:
    from fedrisk.attacks.training_in_sums import Trainer, TrainingRows

Floats = NDArray[np.float64]

NAME = "network_membership"

ROUNDED = 1e-4
"""Most that weights of two trainings of the same rows may differ by, in single precision and in another order."""


@dataclass(frozen=True)
class Size:
    """rows, private: enterprises and trainings of the product; few, steps, exact: the same of the control."""

    rows: int
    private: int
    few: int
    steps: int
    exact: int


QUICK, FULL = Size(200, 60, 60, 60, 32), Size(300, 600, 100, 100, 480)
"""480: a threshold of one false alarm in a thousand is a quantile then; the tail of a normal is above all scores."""


def run(folder: Path, effort: Effort) -> Iterator[Measured]:
    """All figures; see the module's text and `training_in_sums`."""
    from fedrisk.attacks.training_in_sums import Trainer, TrainingRows

    size, made = QUICK if effort.quick else FULL, _bank(folder / NAME, effort.seed)
    table, rng = made.tables[BANK_NAME], np.random.default_rng(effort.seed)
    found = made.run(made.with_study(privacy={"epsilon": math.inf}), research_seed=0)
    rows = TrainingRows.of(found, table)
    yield _same(found.results.network, Trainer(rows, noise=False), rows, rng)
    study = made.with_study(privacy={"epsilon": 3.0})
    private = _of(rows, study, size.rows)
    yield from _private(Trainer(private), size, rng)
    steps = made.with_study(privacy={"epsilon": math.inf}, training={"steps": size.steps})
    without = Trainer(_of(rows, steps, size.few), noise=False)
    yield from _published(without, size.exact, rng, control="noise")


def _bank(folder: Path, seed: int) -> Consortium:
    """A bank that has the tax office's columns as well: a network is trained at banks alone."""
    tables = province(900, seed)
    table = tables[BANK_NAME].merge(tables[HOLDER].drop(columns="day"), on="id", how="left")
    return build(
        folder,
        (BANK_NAME,),
        (),
        tables={BANK_NAME: table},
        columns={"bank": [*COLUMNS["bank"], *COLUMNS["tax"]]},
        policy={"recipes": ["network"]},
        study={"recipe": "network"},
    )


def _of(rows: "TrainingRows", study: Study, number: int) -> "TrainingRows":
    from fedrisk.releases.budget import total_mu

    stated = replace(rows, study=study, plan=training_plan(study, total_mu(study)))
    return stated.taken(np.arange(number), number // 2)


def _same(network: Any, trainer: "Trainer", rows: "TrainingRows", rng: np.random.Generator) -> Measured:
    """Greatest difference between the weights of the real study and of the simulated one, both without noise."""
    real = TrainedModel.from_bytes(network).weights
    made = trainer.train(rows.trained, np.arange(1), rng).weights
    most = float(np.abs(real - made).max())
    found = Estimate(most, most, most, 1)
    return _measured("network/simulation", "difference", found, "", claimed=ROUNDED)


def _private(trainer: "Trainer", size: Size, rng: np.random.Generator) -> Iterator[Measured]:
    mu, kind = trainer.rows.plan.mu, f"epsilon_{trainer.rows.study.privacy.epsilon:g}"
    coin, seen, ratio, distance = _played(trainer, size.private, rng)
    most, method = float(distance.max()), METHODS["outsider"]
    found = Estimate(most, most, most, distance.size)
    yield _measured(f"network/outsider/worst/{kind}", "mu", found, method, claimed=mu)
    order = np.argsort(-distance.mean(0))[:8]
    studies = np.arange(len(coin))
    at = order[studies % len(order)]
    score = (ratio / distance)[studies, at]
    found = area(score, coin[studies, at])
    target = f"network/outsider/worst/{kind}"
    yield _measured(target, "auc", found, method, chance=0.5, claimed=gdp_area(mu))
    yield from _learnt(seen, kind, claimed=gdp_area(mu))


def _published(
    trainer: "Trainer", studies: int, rng: np.random.Generator, control: str
) -> Iterator[Measured]:
    """The control: trained without noise, the weights alone tell who took part."""
    _, seen, _, _ = _played(trainer, studies, rng)
    kind = "epsilon_inf"
    yield from _learnt(seen, kind, claimed=None, control=control)
    half = len(seen.coin) // 2
    if half * len(trainer.rows) / 4 * LOW_FPR < 1:
        # Too few to show a threshold of one false alarm in a thousand.
        return
    before, now = seen[:half], seen[half:]
    shadows, later = before[: half // 2], before[half // 2 :]
    threshold = threshold_of(each(shadows, later)["likelihood_ratio"].ravel(), later.coin.ravel())
    above = each(before, now)["likelihood_ratio"] > threshold
    hits, alarms = (
        by_study(np.array([a[c == side].mean() for a, c in zip(above, now.coin, strict=True)]), above.size)
        for side in (True, False)
    )
    target = f"network/likelihood_ratio/random/{kind}"
    method, chance = METHODS["likelihood_ratio"], alarms.high
    yield _measured(target, "tpr_at_fpr_0.001", hits, method, chance=chance, control=control)


def _learnt(seen: Seen, kind: str, *, claimed: float | None, control: str = "") -> Iterator[Measured]:
    """AUC of each attacker over all rows of each attacked study, and its mean over studies."""
    half = len(seen.coin) // 2
    for name, score in each(seen[:half], seen[half:]).items():
        if control and name != "likelihood_ratio":
            continue
        areas = np.array([area(s, c).value for s, c in zip(score, seen.coin[half:], strict=True)])
        found = by_study(areas, score.size)
        target = f"network/{name}/random/{kind}"
        yield _measured(target, "auc", found, METHODS[name], chance=0.5, claimed=claimed, control=control)


def _played(
    trainer: "Trainer", studies: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], Seen, Floats, Floats]:
    every = np.arange(len(trainer.rows))
    coin = rng.random((studies, len(every))) < 0.5
    made = [trainer.train(c, every, rng) for c in coin]
    confidence = np.array([trainer.confidence(m.weights) for m in made])
    seen = Seen(coin, confidence, np.array([m.weights for m in made]))
    return coin, seen, np.array([m.ratio for m in made]), np.array([m.distance for m in made])


def _measured(target: str, figure: str, found: Estimate, method: str, **about: Any) -> Measured:
    about |= {
        "attack": NAME,
        "target": target,
        "party": "bank_zeroed" if method else "",
        "figure": figure,
        "method": method,
    }
    return Measured.of(found, confidence=CONFIDENCE, **about)


ATTACK = Attack(
    name=NAME,
    attacker="Anybody who gets a trained network, or a trainer who sees the sums of all its steps",
    knows="The whole record of an enterprise and the population; of the sums, also everybody else who takes part",
    wants="Whether the enterprise was among the training rows",
    how="Some trainings of the attacker's own, each row in or out by a coin, show how the weights look with it and "
    "without; from the sums of steps the most powerful test there is",
    sources=("Carlini et al. (2022)", "Yeom et al. (2018)", "Dong, Roth & Su (2022)"),
    run=run,
)
