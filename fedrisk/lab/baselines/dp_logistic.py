"""Logistic regression by DP-SGD (Song, Chaudhuri & Sarwate 2013; Abadi et al. 2016) on pooled rows, by `opacus`.

One trusted party has all rows. Each step takes every training row with a probability of its own (Poisson sampling),
clips each row's gradient to norm 1, and adds Gaussian noise to their sum. The package's accountant (privacy loss
distributions, Gopi, Lee & Wutschitz 2021) finds the noise for the cell's epsilon and delta.

**What is hidden.** A row is there or is not, with the number of rows public: sums of gradients without a row are those
with its contribution set to zero, the relation of a study. That a step sees a random part of the rows makes it cheaper;
a study between institutions, who see which rows are in a step, cannot have that, and this baseline does.

Inputs are indicators of public bins, brought to norm 1 by the number of columns. There is no intercept beside them:
each column's indicators add up to one anyway. So a row's gradient is its input times a number between -1 and 1, and
clipping to norm 1 touches none, not even those of rare defaults, which are the longest.
"""

import math
import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.lab.baselines.inputs import indicators, public_codes
from fedrisk.lab.split import Baseline, Split

BINS = 8
EPOCHS = 20
STEPS_OF_EPOCH = 10
RATE = 4.0
MOMENTUM = 0.9
"""Fixed beforehand and not tuned: to choose among settings by rows would be privacy that nobody accounts for."""


def dp_logistic(split: Split, epsilon: float, delta: float, seed: int) -> NDArray[np.float64]:
    """Probabilities by the weights after the last step, (rows,)."""
    import torch
    from scipy.special import expit

    bins, codes = public_codes(split, BINS)
    x = indicators(bins, codes) / math.sqrt(len(bins))
    inputs = torch.from_numpy(x[split.training].toarray().astype(np.float32))
    label = torch.from_numpy(split.label[split.training].astype(np.float32))
    with warnings.catch_warnings():
        # That noise comes from a known seed, as in all of a sweep; and notes on hooks of PyTorch.
        warnings.simplefilter("ignore", category=UserWarning)
        weights = _trained(inputs, label, epsilon, delta, seed)
    return np.asarray(expit(x @ weights))


def _trained(inputs: Any, label: Any, epsilon: float, delta: float, seed: int) -> NDArray[np.float64]:
    """Weights of the inputs, (inputs,)."""
    import torch
    from opacus import PrivacyEngine
    from torch.utils.data import DataLoader, TensorDataset

    batch = math.ceil(len(label) / STEPS_OF_EPOCH)
    draws = torch.Generator().manual_seed(seed)
    loader = DataLoader(TensorDataset(inputs, label), batch_size=batch, generator=draws)
    model = torch.nn.Linear(inputs.shape[1], 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    private, private_optimiser, private_loader = PrivacyEngine().make_private(
        module=model,
        optimizer=optimiser,
        data_loader=loader,
        noise_multiplier=_noise(epsilon, delta, 1 / len(loader)),
        max_grad_norm=1.0,
        noise_generator=torch.Generator().manual_seed(seed + 1),
    )
    loss_of = torch.nn.BCEWithLogitsLoss()
    for _ in range(EPOCHS):
        for x, y in private_loader:
            private_optimiser.zero_grad()
            loss_of(private(x)[:, 0], y).backward()
            private_optimiser.step()
    return np.asarray(model.weight.detach().numpy()[0], np.float64)


@cache
def _noise(epsilon: float, delta: float, share: float) -> float:
    """Noise over the clipping norm for steps that each take this share of the rows; 0 for infinite epsilon."""
    from opacus.accountants.utils import get_noise_multiplier

    if math.isinf(epsilon):
        return 0.0
    return float(
        get_noise_multiplier(
            target_epsilon=epsilon,
            target_delta=delta,
            sample_rate=share,
            epochs=EPOCHS,
            accountant="prv",
        )
    )


BASELINES = (
    Baseline(name="DP logistic regression", private=True, needs=("torch", "opacus"), fit=dp_logistic),
)
