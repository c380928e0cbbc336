"""What a bank observes: its borrowers, what their accounts show, and who was over 90 days late afterwards."""

import numpy as np

from sim_institutions.block import Block
from sim_institutions.health import DISTRESS
from sim_institutions.observations import Observations, Sheet, rare, seasonal, variation, year_total
from sim_institutions.profiles import Bank
from sim_institutions.random_streams import logistic, noisy, normal, uniform

TERMS = np.array([3, 6, 9, 12], dtype=np.float32)
LABEL = "late_90_days"
# Labels that banks have where months go on, beside the one that they always have.
DISTRESS_LABEL, LATE_LABEL = "distress", "late_30_days"
# Whether a loan is outstanding and has not fallen due.
ACTIVE = "active"
STRAINED_LABEL = "strained"
LABELS = frozenset((LABEL, DISTRESS_LABEL, LATE_LABEL, STRAINED_LABEL))


def bank(block: Block, number: int, taste: Bank, rng: np.random.Generator) -> Observations:
    """Bank ``number`` of the profile. All banks have the same dictionary, so their sums can be added up."""
    enterprises, health = block.enterprises, block.health
    rows = rng.permutation(np.flatnonzero(block.lending.loan[:, number]))
    sheet, n = Sheet(enterprises, rows, rng, taste.sloppy), len(rows)
    liquidity, size = health.levels["liquidity"][rows], enterprises.size[rows]
    flow = 0.2 * health.paths["sales"][rows] + 0.2 * health.paths["liquidity"][rows]
    seasons = block.geography.seasons[enterprises.sector[rows]]
    flow += 0.6 * block.effects["sales"][rows] + 0.5 * seasons * seasonal(rng, n)
    flow += 0.42 * normal(rng, n, block.months)
    turnover = np.exp(10.9 + 0.8 * size[:, None] + 0.5 * normal(rng, n, 1) + flow)
    strain = -0.8 * health.paths["liquidity"][rows] - 0.7 * block.effects["liquidity"][rows]
    overdrawn = rng.poisson(np.exp(np.minimum(-1.6 + strain + 0.9 * normal(rng, n, 1), 3)))
    overdrawn = np.minimum(overdrawn, 30).astype(np.float32)
    # A careless bank loses whole months, and books some amounts in tens of thousands.
    lost = uniform(rng, n, block.months) < 0.004 * taste.sloppy
    turnover[lost] = np.nan
    turnover[uniform(rng, n) < 0.001 * taste.sloppy] /= 10_000
    sheet.history("turnover", turnover)
    sheet.history("overdraft_days", overdrawn)
    limit = np.round(np.clip(np.exp(11.9 + 0.45 * size + 0.3 * normal(rng, n)), 5e4, 5e5), -4)
    sheet.number("credit_limit", limit)
    sheet.number("loan_term", TERMS[np.searchsorted([0.15, 0.45, 0.6], uniform(rng, n))])
    sheet.flag("secured", uniform(rng, n) < 0.35)
    use = logistic(0.1 - 0.9 * noisy(liquidity, 0.7, rng))
    sheet.number("limit_use", use, gap=0.02, digits=3)
    sheet.number("monthly_turnover", year_total(turnover) / 12, gap=0.01)
    sheet.number("turnover_variation", variation(turnover), gap=0.02)
    sheet.number("overdraft_days", overdrawn[:, -12:].sum(axis=1))
    strained = -0.7 * liquidity + 0.6 * (health.course[rows] == DISTRESS)
    late = rare(strained, 0.087, rng, most=9)
    days = np.where(late > 0, np.minimum(np.exp(2.83 + 0.8 * normal(rng, n) + 0.15 * strained), 89), 0)
    sheet.number("days_late", np.ceil(days))
    debt = logistic(-0.8 - 0.35 * noisy(liquidity, 0.63, rng))
    sheet.number("debt_to_assets", debt, gap=0.025, digits=3)
    sheet.number("tenure", enterprises.age[rows] * rng.beta(2, 2, n), gap=0.005, digits=3)
    observed = sheet.observations()
    columns = {**observed.columns, LABEL: block.bank_default[rows, number].astype(np.float32)}
    return Observations(rows, columns, observed.histories)
