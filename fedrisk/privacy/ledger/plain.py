"""A budget in figures that add up: shares of a cap, studies that still fit, and what a grant does.

Mu adds up as squares, epsilon does not add up at all. So shares are shares of mu squared, numbers of studies are those
that the ledger takes, and an epsilon that is called left is rounded down, so that a study of that epsilon fits.
"""

from __future__ import annotations

import math

from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.ledger.caps import DELTA
from fedrisk.privacy.ledger.report import epsilon_of

ROUNDING = 1e-9
"""Relative slack on a cap, so that a budget split into parts can be spent to its end in floating point."""

_MANY = 1_000_000


def fits(mu2: float, cap: float) -> bool:
    """Whether charges of ``mu2`` together, as mu squared, stay within a cap in mu; the ledger's own rule."""
    return math.sqrt(mu2) <= cap * (1.0 + ROUNDING)


def share_used(spent: float, cap: float) -> float:
    """Part of a cap that is used, 0 to 1; what is left is 1 less this. Both in mu; 0 without a cap.

    >>> share_used(3.0, 5.0), share_used(1.0, math.inf), share_used(2.0, 1.0)
    (0.36, 0.0, 1.0)
    """
    if cap == math.inf:
        return 0.0
    return 1.0 if spent >= cap else (spent / cap) ** 2


def percent_used(spent: float, cap: float) -> int:
    """The same as a whole number; 0 and 100 only where nothing, or all, is used.

    >>> percent_used(3.0, 5.0), percent_used(1e-6, 1.0), percent_used(0.9999, 1.0)
    (36, 1, 99)
    """
    share = share_used(spent, cap)
    return round(100 * share) if share in (0.0, 1.0) else min(max(round(100 * share), 1), 99)


def studies_left(spent: float, cap: float, each: float) -> int | None:
    """How many studies of mu ``each`` the ledger still takes; None where there is no end to them.

    >>> studies_left(0.0, 5.0, 1.0), studies_left(3.0, 5.0, 4.0), studies_left(0.0, math.inf, 1.0)
    (25, 1, None)
    """
    if cap == math.inf or each == 0.0:
        return None
    number = min(int(max(0.0, (cap - spent) * (cap + spent)) / each**2), _MANY)
    while number < _MANY and fits(spent**2 + (number + 1) * each**2, cap):
        number += 1
    while number > 0 and not fits(spent**2 + number * each**2, cap):
        number -= 1
    return number


def epsilon_down(mu: float, delta: float = DELTA, digits: int = 2) -> float:
    """Epsilon of ``mu`` at ``delta``, rounded down: a study of this epsilon costs no more than ``mu``.

    >>> epsilon_down(0.837), epsilon_down(0.0), epsilon_down(math.inf)
    (3.99, 0.0, inf)
    """
    epsilon = epsilon_of(mu, delta) if mu > 0.0 else 0.0
    if epsilon == math.inf:
        return epsilon
    scale = float(10**digits)
    # The millionth keeps figures on a border, such as the cap itself, where they are.
    return math.floor(epsilon * scale + 1e-6) / scale


def left_in_words(mu: float, delta: float = DELTA) -> str:
    """What is left of a budget, for people.

    >>> left_in_words(0.8386), left_in_words(1e-4), left_in_words(math.inf)
    ('epsilon 4.00', 'nothing', 'no limit')
    """
    if mu == math.inf:
        return "no limit"
    epsilon = epsilon_down(mu, delta)
    return f"epsilon {epsilon:.2f}" if epsilon > 0.0 else "nothing"


def studies_in_words(number: int | None) -> str:
    """How many further studies fit, for people.

    >>> studies_in_words(0), studies_in_words(1), studies_in_words(None)
    ('room for no further study', 'room for 1 further study', 'no limit on further studies')
    """
    if number is None:
        return "no limit on further studies"
    if number >= _MANY:
        return "room for more than a million further studies"
    if number == 0:
        return "room for no further study"
    return f"room for {number} further stud{'ies' if number > 1 else 'y'}"


def grant_for_epsilon(cap: float, epsilon: float) -> float:
    """Mu to grant so that a cap of mu ``cap`` has its epsilon (at delta 1e-6) raised by ``epsilon``: 4 and 1 make 5.

    ConfigError where there is no cap.

    >>> before = mu_for(4.0, DELTA)
    >>> round(epsilon_of(math.hypot(before, grant_for_epsilon(before, 1.0))), 6)
    5.0
    """
    before = epsilon_of(cap) if cap > 0.0 else 0.0
    if before == math.inf:
        raise ConfigError("this budget has no cap, so there is nothing to raise")
    after = mu_for(before + epsilon, DELTA)
    return math.sqrt(max(0.0, (after - cap) * (after + cap)))


def grant_for_study(spent: float, cap: float, each: float) -> float:
    """Mu to grant so that one more study of mu ``each`` fits; 0 where it fits already. All in mu.

    >>> grant_for_study(5.0, 5.0, 2.0), grant_for_study(3.0, 5.0, 4.0)
    (2.0, 0.0)
    """
    if fits(spent**2 + each**2, cap):
        return 0.0
    return math.sqrt(spent**2 + each**2 - cap**2)


def grant_up(spent: float, cap: float, each: float) -> float:
    """By how much epsilon a grant raises the cap so that one more study of mu ``each`` fits, rounded up to hundredths.

    >>> grant_up(mu_for(4.0, DELTA), mu_for(4.0, DELTA), mu_for(1.0, DELTA))
    0.18
    """
    after = math.hypot(cap, grant_for_study(spent, cap, each))
    return math.ceil((epsilon_of(after) - epsilon_of(cap)) * 100 - 1e-6) / 100
