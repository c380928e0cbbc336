"""What can be trained over noisy sums, and the trained model.

A :class:`Trainee` is a vector of weights, and enterprises whose gradients can be added up: networks at banks
and encoders at data holders are trained by the same code, and this is all that the code knows of them. A
:class:`TrainedModel` is one file with weights, design, and under what privacy they were trained: NumPy's
``.npz`` with the weights as float32 and everything else as JSON; nothing in it is pickled.
"""

import hashlib
import io
import json
import math
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.study import NO_PRIVACY, Study

MOST_WEIGHT = 1e4
"""Largest weight, in absolute value, that a trainer takes: beyond it a training has diverged.

Inputs are of length 1 about, so weights are log-odds, and a probability is 0 or 1 to the last digit from log-odds of 37
on: whatever learnt something stays far below. In fixed point such weights leave room for any number of trainers.
"""


class Trainee(Protocol):
    """A model with the rows of one institution; it holds records, so it stays in their process."""

    @property
    def size(self) -> int:
        """Number d of weights."""

    @property
    def rows(self) -> int:
        """Number n of enterprises."""

    def clipped_sum(self, weights: NDArray[Any], clip: float, bits: int) -> NDArray[Any]:
        """Sum over enterprises of the gradient of each one's loss at ``weights``, (d,) int64 in fixed point.

        Each enterprise's gradient is clipped to L2 norm ``clip`` and truncated to ``bits`` fractional bits,
        so that its integer norm is at most ``clip * 2**bits`` whatever the weights: the sensitivity of the
        sum (secure/fixed_point). Rows are processed in blocks, so that memory stays flat.
        """


@dataclass(frozen=True)
class TrainedModel:
    """A trained network or encoder with its design.

    Attributes:
        weights: float32 (d,).
        design: of the network or encoder, as its ``to_dict`` gives it.
        about: public facts of the training (study, digest, attempt, mu, delta, research), and a notice where
            the training gave no privacy.
    """

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

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of weights and design: what its outputs follow from."""
        design = json.dumps(self.design, sort_keys=True).encode()
        return hashlib.sha256(design + np.ascontiguousarray(self.weights, "<f4").tobytes()).hexdigest()

    @classmethod
    def from_bytes(cls, content: bytes) -> "TrainedModel":
        """Inverse of :meth:`to_bytes`; ConfigError where the content is something else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                stored = json.loads(file["json"].tobytes())
                return cls(file["weights"].astype(np.float32), dict(stored["design"]), dict(stored["about"]))
        except (
            ValueError,
            KeyError,
            OSError,
            EOFError,
            TypeError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
        ):
            raise ConfigError("the file holds no trained network or encoder; train it again") from None


def about_training(study: Study, attempt: str, mu: float, *, research: bool) -> dict[str, Any]:
    """Public facts of a training for :class:`TrainedModel`; ``mu``: its price, null in JSON where it is infinite."""
    return {
        "study": study.name,
        "digest": study.digest(),
        "attempt": attempt,
        "mu": mu if math.isfinite(mu) else None,
        "delta": study.privacy.delta,
        "research": research,
        "notice": NO_PRIVACY if research else None,
    }
