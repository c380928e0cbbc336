"""The hub's step from one shared model to the next, by Flower's own strategies.

What the hub gets in a round is one masked sum, so to a strategy it looks like one reply with the average model:
``FedAvg`` takes it over, ``FedAvgM`` adds momentum (Hsu, Qi & Brown 2019), ``FedAdam`` adapts the step of each
parameter (Reddi et al. 2021). All of it is arithmetic on released numbers and costs no privacy.
"""

import logging

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM
from numpy.typing import NDArray

from fedrisk.models.tuning import Tuning

Floats = NDArray[np.float64]
_KEY = "weights"


class Optimiser:
    """Shared weights and the strategy that moves them.

    weights: (d,) the model that goes out next.
    """

    def __init__(self, weights: Floats, tuning: Tuning) -> None:
        self.weights: Floats = np.asarray(weights, float)
        self._strategy = _strategy(tuning)
        self._round = 0

    def step(self, change: Floats) -> Floats:
        """Move by what a round released: (d,) the average change that trainers, or a gradient step, propose."""
        self._round += 1
        strategy = self._strategy
        if isinstance(strategy, FedAvgM):
            strategy.current_arrays = _record(self.weights)
        elif isinstance(strategy, FedAdam):
            strategy.current_arrays = {_KEY: self.weights}
        content = RecordDict(
            {"arrays": _record(self.weights + change), "metrics": MetricRecord({"num-examples": 1})}
        )
        arrays, _ = strategy.aggregate_train(self._round, [Message(content, 0, "train")])
        if arrays is None:
            raise RuntimeError("Flower's strategy took no step from a valid reply")
        self.weights = arrays[_KEY].numpy().astype(float)
        return self.weights


def _strategy(tuning: Tuning) -> FedAvg:
    # A strategy logs every round; the hub reports them itself.
    logging.getLogger("flwr").setLevel(logging.WARNING)
    if tuning.optimiser == "momentum":
        return FedAvgM(server_momentum=tuning.momentum)
    if tuning.optimiser == "adam":
        # tau guards a division; proposals grow with the learning rate, and it stays small beside them
        return FedAdam(eta=tuning.adam_step, beta_1=tuning.momentum, beta_2=0.98, tau=1e-6 * tuning.rate)
    return FedAvg()


def _record(weights: Floats) -> ArrayRecord:
    return ArrayRecord({_KEY: Array(np.ascontiguousarray(weights))})
