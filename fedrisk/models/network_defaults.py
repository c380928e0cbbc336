"""Sizes of a network's training that follow from public numbers, as they proved good (benchmarks/networks).

Apart from `models/network`, so that a plan, and trials in plain arrays, have them without loading PyTorch.
"""

HIDDEN = 32
"""Most neurons that a study gets unless it asks for more."""

BIAS = 0.3
"""Size of the constant input; it is small, since otherwise the rate alone would limit the learning rate."""

LEAST_HIDDEN = 4
"""Fewest neurons of a deep part."""

ROOM = 0.1
"""Noise, over all weights of the first layer, that a step's mean gradient may hold for the deep part."""

RATES = (6.0, 24.0)
"""Smallest and largest learning rate."""

RATE_NOISE = 1 / 64
"""Learning rate times noise."""

MOMENTUM = 0.8

AVERAGED = 0.3
"""Share of the steps, at the end, whose models are averaged into the final one."""


def default_hidden(width: int, noise: float) -> int:
    """Number of neurons that the noise leaves room for: it keeps the noise in a step's mean gradient at ROOM.

    Args:
        width: number of inputs.
        noise: standard deviation of the noise in one number of a step's mean gradient, in units of the
            clipping radius (all public); 0 for no noise.

    Returns:
        LEAST_HIDDEN to HIDDEN, or 0 where there is room for fewer: then the network is the logistic
        regression.

    >>> default_hidden(250, 0.0), default_hidden(250, 1.3e-3), default_hidden(600, 4e-3)
    (32, 23, 0)
    """
    if noise <= 0:
        return HIDDEN
    room = int((ROOM / noise) ** 2 / width)
    return 0 if room < LEAST_HIDDEN else min(room, HIDDEN)


def default_rate(noise: float) -> float:
    """Learning rate of gradient steps with momentum MOMENTUM, for the noise of `default_hidden`.

    Inputs have a mean squared length of 1 by design, so the loss has a curvature of at most 1/4 times a share
    of 1. Rates up to 24 proved stable on every table tried; more noise needs smaller steps
    (benchmarks/networks).

    >>> [round(default_rate(noise), 1) for noise in (0.0, 5e-4, 1.3e-3, 5e-3)]
    [24.0, 24.0, 12.0, 6.0]
    """
    low, high = RATES
    return high if noise <= 0 else min(max(RATE_NOISE / noise, low), high)
