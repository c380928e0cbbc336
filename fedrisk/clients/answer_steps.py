"""When a node's answer leaves: at the end of a step of time, not when its work is done.

How long an answer takes can tell of exact records, and no budget covers that. What hangs on single labels for
seconds, a bank's own models, is fitted after the study (clients/own_work). So that what is left does not show either,
such as files that pack better and branches of the processor, an answer waits for the end of a step (bucketing: Köpf &
Dürmuth 2009). Steps grow by ``GROWTH``, and where they begin is drawn in secret by each process.

Guarantee: two tables whose answers take times in the ratio r are told apart, however often somebody looks at one
process, with probability at most ln r / ln GROWTH over the draw; else both answers leave at the same step's end.
"""

import math
import secrets
from dataclasses import dataclass

GROWTH = 1.5
"""Each step's end over the one before: an answer takes at most half as long again, and 23 % longer on the average."""


@dataclass(frozen=True)
class AnswerSteps:
    """Steps that end at ``GROWTH ** (k + phase)`` seconds, for all whole k. phase: from 0 to below 1."""

    phase: float

    @classmethod
    def drawn(cls) -> "AnswerSteps":
        """Steps that nobody else knows."""
        return cls(secrets.randbits(53) / 2**53)

    def step(self, seconds: float) -> int:
        """Number k of the step in which work of so many seconds ends.

        >>> AnswerSteps(0.0).step(1.2), AnswerSteps(0.0).step(1.5), AnswerSteps(0.5).step(1.2)
        (1, 1, 0)
        """
        return math.ceil(math.log(max(seconds, 1e-6), GROWTH) - self.phase)

    def end(self, seconds: float) -> float:
        """Seconds after which an answer leaves whose work took so many.

        >>> AnswerSteps(0.0).end(1.2)
        1.5
        """
        return float(GROWTH ** (self.step(seconds) + self.phase))
