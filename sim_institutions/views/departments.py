"""What departments observe: tax, power, social insurance, courts, registry, environment agency."""

import numpy as np

from sim_institutions.block import Block
from sim_institutions.geography import CRAFTS, MANUFACTURING, PREFECTURES, SECTORS
from sim_institutions.health import DISTRESS
from sim_institutions.observations import (
    Observations,
    Sheet,
    covered,
    growth,
    rare,
    seasonal,
    skipped,
    variation,
    year_gaps,
    year_total,
)
from sim_institutions.random_streams import Bools, Floats, Ints, logistic, noisy, normal, uniform

LEGAL_FORMS = ("enterprise", "individually owned business")
RATINGS = ("green", "blue", "yellow", "red")
# Log load by sector, against trade and services.
HEAVY = np.array([0.0, 1.4, 0.3, 0.7], dtype=np.float32)


def tax_office(block: Block, rng: np.random.Generator) -> Observations:
    """Invoices and filings. Healthy enterprises make up for a missing filing a month later, others do not."""
    enterprises, health = block.enterprises, block.health
    rows = covered(enterprises, 0.93, rng)
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    level, size = health.levels["sales"][rows], enterprises.size[rows]
    trade = health.paths["sales"][rows] * 0.25 + block.effects["sales"][rows] + health.bunched[rows]
    seasons = block.geography.seasons[enterprises.sector[rows]]
    trade += seasons * seasonal(rng, n) + 0.15 * normal(rng, n, block.months)
    base = 2.7 + 0.7 * size + 0.4 * normal(rng, n)
    invoices = rng.poisson(np.exp(np.minimum(base[:, None] + trade, 8))).astype(np.float32)
    ticket = 8.0 + 0.5 * size + 0.5 * normal(rng, n)
    amount = invoices * np.exp(ticket[:, None] + 0.2 * normal(rng, n, block.months))
    gap, made_up = _filing_gaps(block, rows, rng)
    invoices, amount = skipped(invoices, gap, made_up), skipped(amount, gap, made_up)
    late = uniform(rng, n) < 0.05
    sheet.history("invoices", invoices, delayed=late)
    sheet.history("invoice_amount", amount, delayed=late)
    total = year_total(amount)
    sheet.category("sector", enterprises.sector[rows], SECTORS)
    sheet.number("invoice_amount", total)
    sheet.number("invoice_growth", np.clip(growth(amount), -1, 5), gap=0.03)
    sheet.number("invoice_variation", variation(amount), gap=0.02)
    sheet.number("filing_gaps", year_gaps(amount))
    sheet.number("tax_paid", total * 0.02 * np.exp(0.4 * noisy(level, 0.65, rng)), gap=0.01)
    concentration = logistic(-0.9 - 0.5 * noisy(level, 0.5, rng) - 0.3 * size)
    sheet.number("customer_concentration", concentration, gap=0.08, digits=3)
    sheet.category("prefecture", enterprises.prefecture[rows], PREFECTURES)
    return sheet.observations()


def power_utility(block: Block, rng: np.random.Generator) -> Observations:
    """Load and bills. If a meter was not read, the next reading covers both months."""
    enterprises, health = block.enterprises, block.health
    rows = covered(enterprises, 0.92, rng)
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    level = health.levels["activity"][rows]
    size, sector = enterprises.size[rows], enterprises.sector[rows]
    curve = 0.25 * health.paths["activity"][rows] + 0.9 * block.effects["activity"][rows]
    curve += 0.5 * block.geography.seasons[sector] * seasonal(rng, n) + 0.09 * normal(rng, n, block.months)
    load = np.exp(6.3 + HEAVY[sector, None] + 0.7 * size[:, None] + 0.4 * normal(rng, n, 1) + curve)
    unread = uniform(rng, n, block.months) < 0.006 * (1 + np.maximum(enterprises.thin[rows], 0))[:, None]
    load = skipped(load, unread, np.ones(n, dtype=bool))
    sheet.history("load", load, delayed=uniform(rng, n) < 0.08)
    sheet.number("monthly_load", year_total(load) / 12)
    sheet.number("load_growth", np.clip(growth(load), -1, 5), gap=0.03)
    sheet.number("load_variation", variation(load), gap=0.02)
    night = logistic(-1.3 + 0.5 * HEAVY[sector] + 0.4 * noisy(level, 0.6, rng))
    sheet.number("night_share", night, gap=0.06, digits=3)
    sheet.number("outages", np.minimum(rng.poisson(0.5, n), 20))
    weak = -0.8 * level - 0.5 * health.levels["liquidity"][rows] + 1.2 * (health.course[rows] == DISTRESS)
    sheet.number("late_bills", rare(weak, 0.0183, rng, most=12))
    return sheet.observations()


def social_insurance(block: Block, rng: np.random.Generator) -> Observations:
    """Insured staff by month. The offices of two prefectures deliver a month late."""
    enterprises, health = block.enterprises, block.health
    rows = covered(enterprises, 0.82, rng, thin=2.0)
    rows = rows[~enterprises.individual[rows] | (uniform(rng, len(rows)) < 0.75)]
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    level, size = health.levels["staffing"][rows], enterprises.size[rows]
    path = 0.1 * health.paths["staffing"][rows] + 0.7 * block.effects["staffing"][rows]
    drawn = np.exp(1.9 + 0.7 * size[:, None] + 0.3 * normal(rng, n, 1) + path)
    headcount = np.maximum(np.floor(drawn + 0.5 + 0.15 * normal(rng, n, block.months)), 1).astype(np.float32)
    begun = np.arange(block.months) >= health.since[rows][:, None] + 1
    troubled = (health.course[rows] == DISTRESS)[:, None] & begun
    often = np.exp(-4.22 - 0.5 * level + 0.9 * normal(rng, n) + 0.3 * enterprises.thin[rows])
    unpaid = uniform(rng, n, block.months) < np.minimum(often[:, None] + 0.12 * troubled, 0.8)
    headcount[unpaid] = np.nan
    delayed = np.isin(enterprises.prefecture[rows], (4, 9))
    sheet.history("headcount", headcount, delayed=delayed)
    average = year_total(headcount) / 12
    sheet.number("headcount", average, digits=3)
    sheet.number("headcount_growth", np.clip(growth(headcount), -1, 5), gap=0.03)
    sheet.number("contribution_gaps", year_gaps(headcount))
    turnover = 0.25 * np.exp(-0.35 * noisy(level, 0.6, rng) + 0.2 * normal(rng, n))
    sheet.number("staff_turnover", turnover, gap=0.05, digits=3)
    wage = np.exp(8.4 + 0.1 * size + 0.12 * noisy(level, 0.5, rng))
    sheet.number("monthly_wage", wage, gap=0.02)
    return sheet.observations()


def court(block: Block, rng: np.random.Generator) -> Observations:
    """Enterprises with a court case within two years; the courts know no others."""
    enterprises = block.enterprises
    trouble = _trouble(block)
    sued = rng.poisson(0.075 * np.exp(np.minimum(0.6 * trouble - 0.18, 3)))
    executed = rare(trouble, 0.032, rng, most=9)
    sued = np.maximum(sued, executed).astype(np.float32)
    rows = rng.permutation(np.flatnonzero((sued > 0) | (uniform(rng, len(enterprises)) < 0.02)))
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    sheet.number("cases_as_defendant", np.minimum(sued[rows], 20))
    sheet.number("open_cases", np.minimum(rng.binomial(sued[rows].astype(np.int64), 0.5), 20))
    sheet.number("enforcement_cases", executed[rows])
    amount = np.where(sued[rows] > 0, np.exp(10.5 + 0.6 * enterprises.size[rows] + normal(rng, n)), 0)
    sheet.number("claimed_amount", amount, gap=0.04)
    sheet.number("cases_as_plaintiff", np.minimum(rng.poisson(0.3, n), 20))
    return sheet.observations()


def registry(block: Block, rng: np.random.Generator) -> Observations:
    """Almost every enterprise: legal form, age, capital, changes, entries in the register."""
    enterprises = block.enterprises
    rows = covered(enterprises, 0.995, rng, thin=0.5)
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    trouble = _trouble(block)[rows]
    individual = enterprises.individual[rows]
    sheet.category("legal_form", individual.astype(np.int64), LEGAL_FORMS)
    sheet.number("age", enterprises.age[rows], digits=3)
    capital = np.exp(12.5 - 1.5 * individual + 0.6 * enterprises.size[rows] + 0.8 * normal(rng, n))
    sheet.number("registered_capital", capital, gap=0.03, digits=3)
    sheet.number("changes", np.minimum(rng.poisson(0.35 * np.exp(0.3 * noisy(trouble, 0.7, rng))), 20))
    sheet.flag("listed_abnormal", rare(trouble + enterprises.thin[rows], 0.045, rng, most=1) > 0)
    sheet.number("chattel_mortgages", np.minimum(rng.poisson(0.08 * np.exp(0.4 * trouble), n), 9))
    return sheet.observations()


def environment_agency(block: Block, rng: np.random.Generator) -> Observations:
    """Enterprises whose emissions are watched: mostly manufacturing and some crafts."""
    enterprises, health = block.enterprises, block.health
    sectors = [enterprises.sector == MANUFACTURING, enterprises.sector == CRAFTS]
    watched = uniform(rng, len(enterprises)) < np.select(sectors, [0.75, 0.25], 0.03)
    rows = rng.permutation(np.flatnonzero(watched & ~enterprises.vendor))
    sheet, n = Sheet(enterprises, rows, rng), len(rows)
    carbon = noisy(health.carbon[rows], 0.9, rng)
    conduct = noisy(health.conduct[rows], 0.6, rng)
    rating = np.searchsorted([-1.7, -0.9, 0.7], -(0.5 * carbon + 0.15 * conduct + 0.8 * normal(rng, n)))
    sheet.category("environmental_rating", np.clip(rating, 0, 3), RATINGS, gap=0.03)
    sheet.number("carbon_intensity", 0.9 * np.exp(-0.5 * carbon), gap=0.05, digits=3)
    sheet.number("pollution_penalties", np.minimum(rng.poisson(0.06 * np.exp(-0.7 * conduct)), 9))
    return sheet.observations()


def _trouble(block: Block) -> Floats:
    """What courts and the registry hear of: conduct, a little liquidity, distress that is some months old."""
    health = block.health
    old = (health.course == DISTRESS) & (health.since <= block.months - 4)
    return (-0.9 * health.conduct - 0.3 * health.levels["liquidity"] + 0.8 * old).astype(np.float32)


def _filing_gaps(block: Block, rows: Ints, rng: np.random.Generator) -> tuple[Bools, Bools]:
    """Months without a filing, (rows, 18), and which enterprises make up for them, (rows,)."""
    enterprises, health = block.enterprises, block.health
    n = len(rows)
    level, distress = health.levels["sales"][rows], health.course[rows] == DISTRESS
    often = np.exp(-5.62 - 0.4 * level + 0.5 * enterprises.thin[rows] + 0.9 * normal(rng, n))
    begun = distress[:, None] & (np.arange(block.months) >= health.since[rows][:, None])
    gap = uniform(rng, n, block.months) < np.minimum(often[:, None] + 0.05 * begun, 0.6)
    return gap, ~distress & (uniform(rng, n) < 0.9)
