"""A network trained over noisy sums on real rows, again and again: who takes part is drawn anew each time.

Bins and rows are those of a study between real nodes (`TrainingRows.of`). Gradients are clipped by the code that a
bank runs (`models/network`), the hub's steps are its own (`server/optimiser`, `recipes/network/design`); what is
simulated is the way of the sums to the hub, and noise of the variance that the plan states. Loads PyTorch.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.attacks.consortium import Run
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import NOTHING
from fedrisk.models.network import NetworkDesign, NetworkTrainee, logits
from fedrisk.models.network_inputs import encode
from fedrisk.models.tuning import Tuning
from fedrisk.recipes.network.design import design_of, first_weights, tuning
from fedrisk.releases.gradient_sums import TrainingPlan
from fedrisk.secure.fixed_point import BITS, dequantise
from fedrisk.server.optimiser import Optimiser
from fedrisk.study import Study

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """All rows that may take part in a training of one bank, with its public facts.

    inputs: (n, width), label: (n,), trained: who was a training row of the study that they come from. rows: public
    number of training rows, always the same: who does not take part counts as a row of zeros.
    """

    study: Study
    plan: TrainingPlan
    bins: tuple[Bins, ...]
    inputs: NDArray[Any]
    label: Floats
    trained: NDArray[np.bool_]
    rows: int

    @classmethod
    def of(cls, run: Run, table: pd.DataFrame, id_column: str = "id") -> "TrainingRows":
        """The rows of the only bank of a study that ended."""
        (bank,) = run.study.banks
        kept = run.scores(bank)
        bins = tuple(Bins.from_dict(b) for b in run.told("bins").get("bins"))
        frame = table.set_index(id_column).loc[kept["id"]].reset_index()
        trained = (kept["split"] == "training").to_numpy()
        return cls(
            study=run.study,
            plan=run.plan.trained,
            bins=bins,
            inputs=encode(frame, bins),
            label=kept["label"].to_numpy(float),
            trained=trained,
            rows=int(trained.sum()),
        )

    def __len__(self) -> int:
        return len(self.label)

    def taken(self, places: NDArray[np.integer], rows: int) -> "TrainingRows":
        """Some of the rows, in trainings of another public number of rows."""
        return replace(
            self,
            inputs=self.inputs[places],
            label=self.label[places],
            trained=self.trained[places],
            rows=rows,
        )


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training: the published weights, and likelihood ratios of who knows all others and all steps' sums.

    ratio, distance: of the targets, (targets,): log likelihood ratio, and distance of both hypotheses in deviations.
    """

    weights: Floats
    ratio: Floats
    distance: Floats


class Trainer:
    """Trainings of the same rows, by which of them take part. noise: False is the negative control."""

    def __init__(self, rows: TrainingRows, noise: bool = True) -> None:
        self.rows, self.noise = rows, noise
        self.design: NetworkDesign = design_of(rows.study, rows.plan, rows.rows, rows.bins)
        self.tuning: Tuning = tuning(rows.study, rows.plan, rows.rows)
        self._trainee = NetworkTrainee(self.design, rows.inputs, rows.label)
        self._first = first_weights(rows.study, self.design, rows.bins, NOTHING, 0).astype(float)

    def train(self, part: NDArray[np.bool_], targets: NDArray[np.intp], rng: np.random.Generator) -> Training:
        """One training on the rows that take part, (n,); targets: whose likelihood ratios are worked out."""
        plan, optimiser, path = self.rows.plan, Optimiser(self._first, self.tuning), []
        variance = plan.variance if self.noise else 0.0
        known = max(variance, 1e-12)
        ratio, square = np.zeros(len(targets)), np.zeros(len(targets))
        for _ in range(plan.steps):
            each = dequantise(
                np.concatenate(list(self._trainee.clipped_rows(optimiser.weights, plan.clip, BITS)))
            )
            exact = part @ each
            total = exact + rng.normal(0, 1, len(exact)) * np.sqrt(variance)
            own = each[targets]
            length = (own**2).sum(1)
            ratio += (own @ (total - exact) + length * (part[targets] - 0.5)) / known
            square += length / known
            path.append(optimiser.step(-self.tuning.rate * total / self.rows.rows))
        last = max(1, round(self.tuning.averaged * len(path)))
        return Training(weights=np.mean(path[-last:], axis=0), ratio=ratio, distance=np.sqrt(square))

    def confidence(self, weights: Floats) -> Floats:
        """Log-odds that a network gives to each row's own label, (n,)."""
        odds = logits(self.design, weights.astype(np.float32), self.rows.inputs)
        return np.where(self.rows.label == 1, odds, -odds)
