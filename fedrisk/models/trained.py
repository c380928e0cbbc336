"""A trained network or encoder as one file: weights, design, and under what privacy they were trained.

NumPy's ``.npz`` with the weights as float32 and everything else as JSON; nothing in it is pickled.
"""

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError


@dataclass(frozen=True)
class TrainedModel:
    """weights: float32 (d,). design: of the network or encoder, as its ``to_dict`` gives it. about: public facts of
    the training (study, digest, attempt, mu, delta, research); notice among them where it gave no privacy."""

    weights: NDArray[np.float32]
    design: dict[str, Any]
    about: dict[str, Any]

    def to_bytes(self) -> bytes:
        """The file's content.

        >>> model = TrainedModel(np.zeros(2, np.float32), {"kind": "logistic"}, {"study": "s"})
        >>> TrainedModel.from_bytes(model.to_bytes()).design
        {'kind': 'logistic'}
        """
        out = io.BytesIO()
        text = json.dumps({"design": self.design, "about": self.about}, sort_keys=True)
        np.savez(out, weights=self.weights.astype(np.float32), json=np.frombuffer(text.encode(), np.uint8))
        return out.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "TrainedModel":
        """Inverse of :meth:`to_bytes`; ConfigError where the content is something else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                told = json.loads(file["json"].tobytes())
                return cls(file["weights"].astype(np.float32), dict(told["design"]), dict(told["about"]))
        except (ValueError, KeyError, OSError, TypeError):
            raise ConfigError("the file holds no trained network or encoder; train it anew") from None
