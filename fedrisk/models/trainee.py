"""What can be trained over noisy sums: a vector of weights and enterprises whose gradients can be added up.

Networks at banks and encoders at data holders are trained by the same code (clients/train, server/training);
this is all that it knows of them.
"""

from typing import Any, Protocol

from numpy.typing import NDArray


class Trainee(Protocol):
    """A model with the rows of one institution. Holds records, so it stays in the institution's own process."""

    @property
    def size(self) -> int:
        """Number d of weights."""

    @property
    def rows(self) -> int:
        """Number n of enterprises."""

    def clipped_sum(self, weights: NDArray[Any], clip: float, bits: int) -> NDArray[Any]:
        """(d,) int64: sum over enterprises of the gradient of its own loss at ``weights``, in fixed point.

        Each enterprise's gradient is clipped to L2 norm ``clip`` and truncated to ``bits`` fractional bits, so
        that its integer norm is at most ``clip * 2**bits`` whatever the weights: the sensitivity of the sum
        (secure/fixed_point). Rows go through in blocks, so that memory stays flat.
        """

    def local_loss(self, weights: NDArray[Any]) -> float:
        """Mean loss over the own rows; for the institution itself, since no noise is in it."""
