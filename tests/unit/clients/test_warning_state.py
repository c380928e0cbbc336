"""Why a bank's model has no threshold of warnings: not told, not confirmed by all banks, or noise."""

import pytest

from fedrisk.clients.node import Node
from fedrisk.clients.store.attempt_store import AttemptStore, Begun
from fedrisk.clients.warning_state import ALIKE, why_no_threshold
from fedrisk.protocol.actions import WARN as NAME
from support.consortium import institution_file

ATTEMPT = "a" * 32


@pytest.fixture
def bank(tmp_path):
    return Node.open(institution_file(tmp_path, "alfa", "bank"))


def begin(bank, banks=("alfa", "beta"), seed=None, warning=0.05):
    study = {
        "institutions": [{"name": n, "role": "bank"} for n in banks] + [{"name": "tax", "role": "holder"}],
        "warning": None if warning is None else {"false_alarms": warning},
    }
    state = AttemptStore(bank.store.path / "attempts" / ATTEMPT)
    state.save(Begun(study=study, research_seed=seed))
    return state


def test_it_is_said_how_far_the_totals_came(bank):
    assert why_no_threshold(bank, ATTEMPT) is None
    state = begin(bank)
    assert why_no_threshold(bank, ATTEMPT) == ("untold", 0.05)
    state.put_message(NAME, b"totals")
    assert why_no_threshold(bank, ATTEMPT) == ("unconfirmed", 0.05)
    state.put_message(ALIKE, b"{}")
    assert why_no_threshold(bank, ATTEMPT) == ("noise", 0.05)


def test_an_only_bank_waits_for_nobody(bank):
    begin(bank, banks=("alfa",)).put_message(NAME, b"totals")
    assert why_no_threshold(bank, ATTEMPT) == ("noise", 0.05)


@pytest.mark.parametrize("what", [{"warning": None}, {"seed": 1}])
def test_nothing_is_said_where_none_was_asked_for(bank, what):
    begin(bank, **what)
    assert why_no_threshold(bank, ATTEMPT) is None
