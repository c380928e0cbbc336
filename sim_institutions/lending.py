"""Who borrows where: applications, each bank's own selective approval, loans at several banks.

Labels exist for approved borrowers only. An enterprise asks the bank it likes best; refused there, it may
try the next, so that careless banks gather those whom others did not want.
"""

from dataclasses import dataclass

import numpy as np

from sim_institutions.enterprises import Enterprises
from sim_institutions.geography import FARMING, NO_CLUSTER, Geography
from sim_institutions.health import Health
from sim_institutions.profiles import Bank, Profile
from sim_institutions.streams import Bools, Floats, logistic, normal, stream, uniform

TRIES = 3
TRIES_AGAIN = 0.7  # after a refusal
SECOND_LOAN, THIRD_LOAN = 0.14, 0.03  # of borrowers, loans at a further bank
DEFAULTS_THERE_TOO = 0.8  # of defaulters with several loans, at each further bank
HOME = 0.9  # a bank's strength in its own prefectures, on the log scale


@dataclass(frozen=True)
class Lending:
    """visible: known to lenders at all, (n,). applied: (n,). loan: (n, banks), approved."""

    visible: Bools
    applied: Bools
    loan: Bools

    @property
    def borrower(self) -> Bools:
        """With a loan anywhere."""
        return self.loan.any(axis=1)


def merit(health: Health, rng: np.random.Generator) -> Floats:
    """What a lender without shared data sees: liquidity and conduct, less of the rest, about variance 1."""
    levels = health.levels
    seen = 0.5 * levels["liquidity"] + 0.25 * levels["sales"] + 0.25 * levels["conduct"]
    return (seen + 0.7 * normal(rng, len(seen))).astype(np.float32)


def lend(
    profile: Profile,
    e: Enterprises,
    health: Health,
    where: Geography,
    asked: float,
    seed: int,
    block: int | str,
) -> Lending:
    """All banks' decisions; ``asked`` is the merit that an average bank asks for."""
    rng = stream(seed, "lending", block)
    n, banks = len(e), profile.banks
    visible = uniform(rng, n) >= _hidden(e, profile.invisible)
    applied = visible & (uniform(rng, n) < profile.applying)
    seen = merit(health, rng)
    liked = np.argsort(-_liking(banks, e, where, seed, rng), axis=1)[:, :TRIES]
    rows = np.arange(n)
    loan = np.zeros((n, len(banks)), dtype=bool)
    asking, extra = applied.copy(), uniform(rng, n)
    strict = np.array([b.strict for b in banks], dtype=np.float32)
    blind = np.array([b.blind for b in banks], dtype=np.float32)
    for turn in range(liked.shape[1]):
        bank = liked[:, turn]
        approved = seen + 0.5 * blind[bank] * normal(rng, n) > asked + strict[bank]
        got = asking & approved
        loan[rows[got], bank[got]] = True
        has = loan.any(axis=1)
        further = extra < (SECOND_LOAN if turn == 0 else THIRD_LOAN)
        asking = np.where(has, further & got, asking & (uniform(rng, n) < TRIES_AGAIN))
    return Lending(visible, applied, loan)


def bank_defaults(lending: Lending, default: Bools, seed: int, block: int | str) -> Bools:
    """(n, banks): over 90 days late at that bank. A defaulter with several loans defaults on one of them for
    certain and on each other one with probability DEFAULTS_THERE_TOO."""
    rng = stream(seed, "labels", block)
    draws = np.where(lending.loan, uniform(rng, *lending.loan.shape), 2.0)
    certain = draws == draws.min(axis=1, keepdims=True)
    return lending.loan & default[:, None] & (certain | (draws < DEFAULTS_THERE_TOO))


def _hidden(e: Enterprises, share: float) -> Floats:
    """Probability that no lender knows the enterprise: above all vendors, individuals, the small and young."""
    if share <= 0:
        return np.zeros(len(e), dtype=np.float32)
    leaning = (
        2.2 * e.vendor + 0.7 * e.individual - 0.5 * e.size - 0.04 * e.age - 0.8 * (e.cluster != NO_CLUSTER)
    )
    low, high = -12.0, 12.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if logistic(leaning + np.float32(middle)).mean() > share else (middle, high)
    return logistic((leaning + low).astype(np.float32))


def _liking(
    banks: tuple[Bank, ...], e: Enterprises, where: Geography, seed: int, rng: np.random.Generator
) -> Floats:
    """(n, banks): how much each enterprise likes each bank (a multinomial logit)."""
    home = stream(seed, "home").integers(0, 11, (len(banks), 4))
    liking = -np.log(-np.log(uniform(rng, len(e), len(banks)).clip(1e-7, 1 - 1e-7)))
    rural = where.rural[e.county] + 1.0 * (e.sector == FARMING)
    for i, bank in enumerate(banks):
        liking[:, i] += (
            np.log(bank.weight)
            + bank.rural * (rural - 0.5)
            + bank.cluster * (e.cluster != NO_CLUSTER)
            + HOME * np.isin(e.prefecture, home[i])
        )
    return liking
