"""What a consortium decides with private statistics: a whole study of banks, its estimates, and shares of losses."""

import json

import numpy as np
import pandas as pd
import pytest

from fedrisk.analysis.estimates import estimates
from fedrisk.analysis.loss_report import loss_report
from fedrisk.analysis.loss_rules import LossRules, load_loss_rules
from fedrisk.errors import ConfigError

BANKS = ("alfa", "beta", "gama", "delta")
SECTORS = ("farming", "retail", "transport")
RISK = {"farming": 0.03, "retail": 0.05, "transport": 0.08}
LOST = 0.45

COLUMNS = [
    {"name": "sector", "kind": "category", "categories": list(SECTORS), "feature": False},
    {"name": "exposure", "kind": "number", "low": 0, "high": 500_000, "unit": "yuan", "feature": False},
    {"name": "expected_loss", "kind": "number", "low": 0, "high": 25_000, "unit": "yuan", "feature": False},
    {"name": "matured_loss", "kind": "number", "low": 0, "high": 250_000, "unit": "yuan", "feature": False},
]

STUDY = {
    "recipe": "statistics",
    "privacy": {"epsilon": 2.0},
    "statistics": {
        "by": ["bank.sector"],
        "measures": [
            {"kind": "count", "name": "loans"},
            {"kind": "sum", "column": "bank.exposure", "name": "exposure"},
            {"kind": "sum", "column": "bank.expected_loss", "name": "expected_loss", "weight": 3.0},
            {"kind": "sum", "column": "bank.matured_loss", "name": "matured_loss"},
        ],
    },
}

RULES = """\
name = "rules_4321"
rest = "bank"
parties = [{ name = "guarantor" }, { name = "reguarantor" }, { name = "bank" }, { name = "government" }]
[[segments]]
name = "farms"
where = { sector = ["farming"] }
layers = [{ up_to = 0.005, shares = { bank = 1.0 } }, { shares = { guarantor = 0.8, bank = 0.2 } }]
[[segments]]
name = "others"
by = ["sector"]
layers = [{ shares = { guarantor = 0.4, reguarantor = 0.3, bank = 0.2, government = 0.1 } }]
[pool]
size = 1_500_000
pays = ["government"]
beyond = "bank"
[figures]
enterprises = "loans"
matured_loss = "matured_loss"
"""


def tables(rows=2_500):
    """Loans of each bank; every bank lends to enterprises of its own."""
    rng = np.random.default_rng(11)
    out = {}
    for bank in BANKS:
        sector = rng.choice(SECTORS, rows)
        exposure = np.clip(rng.lognormal(11.0, 0.8, rows), 1_000, 500_000).round()
        chance = np.array([RISK[s] for s in sector]) * rng.uniform(0.6, 1.4, rows)
        out[bank] = pd.DataFrame(
            {
                "id": [f"{bank}-{i}" for i in range(rows)],
                "sector": sector,
                "exposure": exposure,
                "expected_loss": (exposure * chance * LOST).round(2),
                "matured_loss": np.where(rng.random(rows) < chance, (exposure * LOST).round(2), 0.0),
            }
        )
    return out


def consortium(kit, folder, banks, data):
    policy = {"recipes": ["statistics"], "statistics": [c["name"] for c in COLUMNS]}
    made = kit.build(folder, banks, (), tables=data, columns={"bank": COLUMNS}, study=STUDY, policy=policy)
    for name, content in made.content.items():
        content["dictionary"] = {k: v for k, v in content["dictionary"].items() if k != "label"}
        made.write(name)
    return made


@pytest.fixture(scope="module")
def finished(kit, tmp_path_factory):
    """(tables, the run) of four banks; made once."""
    data = tables()
    return data, consortium(kit, tmp_path_factory.mktemp("decisions"), BANKS, data).run()


def test_shares_of_losses_follow_from_what_banks_released(finished, tmp_path, fedrisk):
    data, run = finished
    record = run.results.record
    loans = pd.concat(data.values())
    exact = loans.groupby("sector")[["exposure", "expected_loss", "matured_loss"]].sum()
    frame = estimates(record).frame
    for sector in SECTORS:
        row = frame[(frame["measure"] == "expected_loss") & (frame["sector"] == sector)].iloc[0]
        assert row["says"]
        # Five standard errors: a false alarm in 600,000 cells.
        assert abs(row["estimate"] - exact.loc[sector, "expected_loss"]) < 5 * row["standard_error"]
    (tmp_path / "rules.toml").write_text(RULES, encoding="utf-8")
    rules = load_loss_rules(tmp_path / "rules.toml")
    report = loss_report(rules, [record])
    shares = report.shares
    error = (shares.total.high - shares.total.low) / 2 / 1.96
    assert abs(shares.total.expected - 100 * loans["expected_loss"].sum()) < 5 * error
    assert sum(p.expected for p in shares.parties) == shares.total.expected
    assert [s.title for s in shares.segments if s.says] == ["farms", "others, retail", "others, transport"]
    # What came was drawn by the very chances that foretold it.
    assert [r.inside for r in report.tested.rows if r.what == "total"] == [True]
    assert report.sources[0].mu == dict.fromkeys(BANKS, pytest.approx(run.plan.mu("statistics")))
    run.results.save(tmp_path / "results")
    code, out, _ = fedrisk(
        "losses", tmp_path / "rules.toml", tmp_path / "results", "--json", "--out", tmp_path
    )
    assert code == 0
    assert json.loads(out)["total"]["expected"] == shares.total.expected
    page = (tmp_path / "losses.html").read_text(encoding="utf-8")
    # No bank's own figures, nor its name: only sums over all of them.
    own = [f"{data[b][c].sum():,.2f}" for b in BANKS for c in ("exposure", "expected_loss", "matured_loss")]
    assert not [figure for figure in own if figure in page]
    assert "over 4 banks" in page


def test_sums_of_two_banks_are_not_shared(kit, tmp_path):
    """Either of the two would have the other's, by taking its own away."""
    data = {name: table for name, table in tables(300).items() if name in BANKS[:2]}
    run = consortium(kit, tmp_path, BANKS[:2], data).run()
    rules = LossRules.model_validate(
        {
            "name": "r",
            "rest": "bank",
            "parties": [{"name": "bank"}],
            "segments": [{"name": "all", "layers": [{"shares": {"bank": 1.0}}]}],
        }
    )
    with pytest.raises(ConfigError, match="is a sum over 2 institution"):
        loss_report(rules, [run.results.record])
