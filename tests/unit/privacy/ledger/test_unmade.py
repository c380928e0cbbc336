"""The ledger of an institution that has none yet says what a new one would say."""

import pytest

from fedrisk.errors import BudgetError, NothingYet
from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.unmade import UnmadeLedger
from fedrisk.privacy.spend import Spend


def spend(mu):
    return Spend(
        study="s",
        attempt="a",
        release="r",
        population="training",
        mu=mu,
        delta=1e-6,
        what="counts",
        institution="bank",
        counterparty="hub",
        research=False,
    )


@pytest.mark.parametrize("caps", [1.5, Caps(epsilon=4.0, period_days=30)])
def test_it_says_what_a_new_ledger_says(tmp_path, caps):
    unmade, new = (
        UnmadeLedger(tmp_path / "none" / "ledger.sqlite", caps),
        Ledger(tmp_path / "ledger.sqlite", caps),
    )
    assert unmade.report().to_dict() == new.report().to_dict()
    for call in ("spent", "lifetime", "figures", "left", "entries"):
        assert getattr(unmade, call)() == getattr(new, call)()
    assert unmade.left(study="s", purpose="p") == new.left(study="s", purpose="p")
    for ledger in (unmade, new):
        with pytest.raises(BudgetError):
            ledger.reserve_check([spend(9.0)])
    assert not (tmp_path / "none").exists()


def test_nothing_can_be_written(tmp_path):
    ledger = UnmadeLedger(tmp_path / "ledger.sqlite", 1.5)
    with pytest.raises(NothingYet):
        ledger.debit("r", spend(0.1), "d")
    with pytest.raises(NothingYet):
        ledger.grant(epsilon=1.0, reason="r", who="w")
    assert (ledger.audit(), list(tmp_path.iterdir())) == (0, [])
