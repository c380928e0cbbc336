"""What a ledger says about itself: amounts, and the report as JSON."""

import json
import math
from dataclasses import replace
from datetime import date

from fedrisk.privacy.accounting import epsilon_for
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.report import Amount, BudgetReport, Part, epsilon_of


def test_epsilon_of_by_hand():
    assert epsilon_of(0.237) == epsilon_for(0.237, 1e-6)
    assert epsilon_of(0.237, 1e-9) == epsilon_for(0.237, 1e-9)
    assert epsilon_of(1e4) < epsilon_of(1.0001e4) == math.inf


def test_the_report_as_plain_values():
    nothing, endless = Amount(0.0), Amount(math.inf)
    report = BudgetReport(
        period_start=date(2026, 1, 1),
        period_end=date(2027, 1, 1),
        cap=endless,
        granted=nothing,
        spent=nothing,
        reserved=nothing,
        left=endless,
        lifetime=nothing,
        by_study={"autumn": Part(spent=nothing, cap=None, left=None)},
        by_purpose={},
        entries=1,
        research=1,
        clock_behind=0.0,
    )
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    zero = {"mu": 0.0, "epsilon": 0.0}
    assert plain["period_start"] == "2026-01-01"
    assert plain["cap"] == plain["left"] == {"mu": "inf", "epsilon": "inf"}
    assert plain["by_study"] == {"autumn": {"spent": zero, "cap": None, "left": None}}


def test_the_report_of_an_infinite_lifetime_cap_is_json(path, refit):
    ledger = Ledger(path, math.inf)
    ledger.debit("a", replace(refit, mu=1e200), "d")
    plain = json.loads(json.dumps(ledger.report().to_dict(), allow_nan=False))
    assert (plain["left"]["epsilon"], plain["period_start"]) == ("inf", None)
