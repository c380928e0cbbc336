"""What credit bureaus, fintech companies and guarantors observe."""

import numpy as np

from sim_institutions.block import GUARANTEED, Block, guarantees
from sim_institutions.enterprises import NO_LINK
from sim_institutions.health import DISTRESS
from sim_institutions.observations import (
    Observations,
    Sheet,
    covered,
    growth,
    rare,
    seasonal,
    variation,
    year_total,
)
from sim_institutions.random_streams import logistic, noisy, normal, uniform


def bureau_supply(block: Block, rng: np.random.Generator) -> Observations:
    """Trade credit. Only this bureau sees the links between enterprises, and so how a supplier fares."""
    enterprises, health = block.enterprises, block.health
    rows = covered(enterprises, 0.5, rng)
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    liquidity = health.levels["liquidity"][rows]
    link = enterprises.supplier[rows]
    troubled = (link != NO_LINK) & (health.course[link] == DISTRESS)
    late = logistic(-1.8 - 0.6 * noisy(liquidity, 0.5, rng))
    sheet.number("late_to_suppliers", late, gap=0.06, digits=3)
    sheet.flag("supplier_in_trouble", troubled & (uniform(rng, n) < 0.7))
    sheet.number("suppliers", np.minimum(1 + rng.poisson(np.exp(0.8 + 0.5 * enterprises.size[rows])), 99))
    sheet.number("inquiries", np.minimum(rng.poisson(np.exp(-0.3 - 0.4 * liquidity)), 30))
    return sheet.observations()


def bureau_utilities(block: Block, rng: np.random.Generator) -> Observations:
    """Water, gas and rent."""
    enterprises, health = block.enterprises, block.health
    rows = covered(enterprises, 0.6, rng)
    sheet = Sheet(enterprises, rows, rng)
    level = health.levels["activity"][rows]
    change = 0.03 + 0.25 * noisy(level, 0.4, rng) + 0.6 * block.effects["activity"][rows, -6:].mean(axis=1)
    sheet.number("water_growth", np.clip(change, -1, 5), gap=0.05, digits=3)
    sheet.number("late_water_bills", rare(-level, 0.0194, rng, most=12))
    rent_late = rare(-level - 0.5 * health.levels["liquidity"][rows], 0.06, rng, most=1) > 0
    sheet.flag("rent_late", rent_late, gap=0.1)
    return sheet.observations()


def bureau_conduct(block: Block, rng: np.random.Generator) -> Observations:
    """Penalties, complaints and licences; patents and certificates."""
    enterprises, health = block.enterprises, block.health
    rows = covered(enterprises, 0.55, rng)
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    conduct = health.conduct[rows]
    sheet.number("penalties", np.minimum(rng.poisson(0.12 * np.exp(-0.7 * noisy(conduct, 0.8, rng))), 20))
    sheet.number("complaints", np.minimum(rng.poisson(0.5 * np.exp(-0.4 * noisy(conduct, 0.7, rng))), 50))
    sheet.flag("licence_lapsed", rare(-conduct, 0.04, rng, most=1) > 0)
    inventive = noisy(health.levels["sales"][rows], 0.3, rng) + 0.5 * enterprises.size[rows]
    sheet.number("patents", np.minimum(rng.poisson(0.15 * np.exp(0.6 * inventive)), 50))
    sheet.flag("certified_innovator", inventive + normal(rng, n) > 2.3)
    return sheet.observations()


def fintech_online(block: Block, rng: np.random.Generator) -> Observations:
    """Enterprises that sell on platforms."""
    enterprises, health = block.enterprises, block.health
    sells = enterprises.online + 0.5 * normal(rng, len(enterprises)) > 0.75
    rows = rng.permutation(np.flatnonzero(sells))
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    level = health.levels["sales"][rows]
    trade = 0.25 * health.paths["sales"][rows] + 0.9 * block.effects["sales"][rows]
    seasons = block.geography.seasons[enterprises.sector[rows]]
    trade += seasons * seasonal(rng, n) + 0.25 * normal(rng, n, block.months)
    base = 2.79 + 0.5 * enterprises.online[rows] + 0.4 * enterprises.size[rows] + 0.9 * normal(rng, n)
    orders = rng.poisson(np.exp(np.minimum(base[:, None] + trade, 9))).astype(np.float32)
    sheet.history("orders", orders)
    sheet.number("orders", year_total(orders))
    sheet.number("order_growth", np.clip(growth(orders), -1, 5), gap=0.03)
    sheet.number("order_variation", variation(orders), gap=0.02)
    returned = logistic(-2.8 - 0.4 * noisy(health.conduct[rows], 0.5, rng))
    sheet.number("return_rate", returned, gap=0.04, digits=3)
    sheet.number("rating", np.clip(4.6 + 0.2 * noisy(level, 0.4, rng), 1, 5), gap=0.02, digits=3)
    return sheet.observations()


def fintech_payments(block: Block, rng: np.random.Generator) -> Observations:
    """Payments by code at the counter, the one place where street vendors leave clear traces."""
    enterprises, health = block.enterprises, block.health
    rows = covered(enterprises, 0.6, rng, thin=-0.2)
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    level = health.levels["sales"][rows]
    trade = 0.25 * health.paths["sales"][rows] + 0.9 * block.effects["sales"][rows]
    seasons = block.geography.seasons[enterprises.sector[rows]]
    trade += seasons * seasonal(rng, n) + 0.3 * normal(rng, n, block.months)
    base = 5.88 + 0.3 * enterprises.size[rows] + 0.8 * normal(rng, n)
    payments = rng.poisson(np.exp(np.minimum(base[:, None] + trade, 11))).astype(np.float32)
    sheet.history("payments", payments)
    sheet.number("payments_a_day", year_total(payments) / 365)
    sheet.number("payment_growth", np.clip(growth(payments), -1, 5), gap=0.03)
    sheet.number("payment_variation", variation(payments), gap=0.02)
    sheet.number("repeat_customers", logistic(-0.2 + 0.4 * noisy(level, 0.5, rng)), gap=0.06, digits=3)
    return sheet.observations()


def guarantor(block: Block, number: int, rng: np.random.Generator) -> Observations:
    """Guarantor ``number`` of eight: loans that it guarantees or guaranteed, and what it had to pay."""
    enterprises, health = block.enterprises, block.health
    shared = guarantees(block)
    guaranteed = uniform(shared, len(enterprises)) < GUARANTEED
    chosen = np.where(guaranteed, shared.integers(0, 8, len(enterprises)), -1)
    rows = rng.permutation(np.flatnonzero(block.lending.borrower & (chosen == number)))
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    liquidity = health.levels["liquidity"][rows]
    sheet.number("guarantees", np.minimum(1 + rng.poisson(0.7, n), 20))
    sheet.number("share_guaranteed", np.clip(0.6 + 0.15 * normal(rng, n), 0.1, 0.9), digits=2)
    paid = rare(-liquidity - 0.5 * health.conduct[rows], 0.05, rng, most=9)
    sheet.number("compensations", paid)
    # -1: nothing had to be paid, as the dictionary says.
    recovered = np.where(paid > 0, rng.beta(4.1, 1.9, n), -1)
    sheet.number("recovered_share", recovered, digits=3)
    sheet.flag("counter_guarantee", uniform(rng, n) < logistic(0.3 * noisy(liquidity, 0.4, rng)))
    return sheet.observations()
