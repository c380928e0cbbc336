"""Who borrows where: applications, approval by each bank's standards, loans at several banks.

Labels exist for approved borrowers only. An enterprise asks the bank that it likes best. If that bank
refuses, it may try the next one, so careless banks gather the enterprises that others did not want.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim_institutions.enterprises import Enterprises
from sim_institutions.geography import FARMING, NO_CLUSTER, Geography
from sim_institutions.profiles import Bank, Profile
from sim_institutions.random_streams import Bools, Floats, logistic, normal, stream, uniform

# Banks that an enterprise asks at most, and the probability that it asks another after a refusal.
TRIES = 3
TRIES_AGAIN = 0.7
# Share of borrowers that ask for a further loan at a second and at a third bank.
SECOND_LOAN, THIRD_LOAN = 0.14, 0.03
# Probability with which a defaulter with several loans defaults on each of them; one is certain.
DEFAULTS_THERE_TOO = 0.8
# How much better a bank is liked in its home prefectures, on the log scale.
HOME = 0.9


@dataclass(frozen=True)
class Lending:
    """Applications and loans of a block.

    visible: known to lenders at all, (n,). applied: asked for a loan, (n,). loan: got one, (n, banks).
    asked: of which bank, (n, banks).
    """

    visible: Bools
    applied: Bools
    loan: Bools
    asked: Bools

    @property
    def borrower(self) -> Bools:
        """Who has a loan at any bank, (n,)."""
        return self.loan.any(axis=1)


def merit(levels: Mapping[str, Floats], rng: np.random.Generator) -> Floats:
    """What a lender without shared data sees: liquidity, some sales and conduct, noise; variance about 1."""
    signal = 0.5 * levels["liquidity"] + 0.25 * levels["sales"] + 0.25 * levels["conduct"]
    return (signal + 0.7 * normal(rng, len(signal))).astype(np.float32)


def lend(
    profile: Profile,
    enterprises: Enterprises,
    levels: Mapping[str, Floats],
    geography: Geography,
    asked: float,
    seed: int,
    number: int | str,
) -> Lending:
    """All banks' decisions on block ``number``.

    levels: of each facet of health. asked: the merit that an average bank asks for.
    """
    rng = stream(seed, "lending", number)
    n, banks = len(enterprises), profile.banks
    visible = uniform(rng, n) >= _hidden(enterprises, profile.invisible)
    applied = visible & (uniform(rng, n) < profile.applying)
    shown = merit(levels, rng)
    liked = np.argsort(-_liking(banks, enterprises, geography, seed, rng), axis=1)[:, :TRIES]
    rows = np.arange(n)
    loan, asked_of = (np.zeros((n, len(banks)), dtype=bool) for _ in range(2))
    asking, extra = applied.copy(), uniform(rng, n)
    strict = np.array([b.strict for b in banks], dtype=np.float32)
    blind = np.array([b.blind for b in banks], dtype=np.float32)
    for turn in range(liked.shape[1]):
        bank = liked[:, turn]
        approved = shown + 0.5 * blind[bank] * normal(rng, n) > asked + strict[bank]
        got = asking & approved
        loan[rows[got], bank[got]] = True
        asked_of[rows[asking], bank[asking]] = True
        has = loan.any(axis=1)
        further = extra < (SECOND_LOAN if turn == 0 else THIRD_LOAN)
        asking = np.where(has, further & got, asking & (uniform(rng, n) < TRIES_AGAIN))
    return Lending(visible, applied, loan, asked_of)


def bank_defaults(lending: Lending, default: Bools, seed: int, number: int | str) -> Bools:
    """Who is over 90 days late at each bank, (n, banks).

    A defaulter defaults on each of its loans with probability DEFAULTS_THERE_TOO, and on at least one for
    certain.
    """
    rng = stream(seed, "labels", number)
    draws = np.where(lending.loan, uniform(rng, *lending.loan.shape), 2.0)
    certain = draws == draws.min(axis=1, keepdims=True)
    return lending.loan & default[:, None] & (certain | (draws < DEFAULTS_THERE_TOO))


def _hidden(enterprises: Enterprises, share: float) -> Floats:
    """Chance that no lender knows the enterprise: high for vendors, individuals, the small and young."""
    if share <= 0:
        return np.zeros(len(enterprises), dtype=np.float32)
    leaning = (
        2.2 * enterprises.vendor
        + 0.7 * enterprises.individual
        - 0.5 * enterprises.size
        - 0.04 * enterprises.age
        - 0.8 * (enterprises.cluster != NO_CLUSTER)
    )
    low, high = -12.0, 12.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if logistic(leaning + np.float32(middle)).mean() > share else (middle, high)
    return logistic((leaning + low).astype(np.float32))


def _liking(
    banks: tuple[Bank, ...],
    enterprises: Enterprises,
    geography: Geography,
    seed: int,
    rng: np.random.Generator,
) -> Floats:
    """How much each enterprise likes each bank, (n, banks): a multinomial logit."""
    home = stream(seed, "home").integers(0, 11, (len(banks), 4))
    liking = -np.log(-np.log(uniform(rng, len(enterprises), len(banks)).clip(1e-7, 1 - 1e-7)))
    rural = geography.rural[enterprises.county] + 1.0 * (enterprises.sector == FARMING)
    for i, bank in enumerate(banks):
        liking[:, i] += (
            np.log(bank.weight)
            + bank.rural * (rural - 0.5)
            + bank.cluster * (enterprises.cluster != NO_CLUSTER)
            + HOME * np.isin(enterprises.prefecture, home[i])
        )
    return liking
