"""Errors: the tree, and the codes that other parties see, which must never change."""

import pytest

from fedrisk import errors

CODES = {
    "FedriskError": "error",
    "ConfigError": "config",
    "DataError": "data",
    "PolicyError": "refused",
    "BudgetError": "budget",
    "QuotaError": "quota",
    "ProtocolError": "protocol",
    "EnvelopeError": "envelope",
    "PeerError": "peer",
    "StoreError": "store",
    # What is wrong with a store is for its own people.
    "NothingYet": "store",
    "OwnerError": "store",
}


def test_every_error_has_its_own_code():
    found = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {name: kind.code for name, kind in found.items()} == CODES
    assert all(issubclass(kind, errors.FedriskError) for kind in found.values())


@pytest.mark.parametrize(
    ("special", "general"),
    [(errors.BudgetError, errors.PolicyError), (errors.EnvelopeError, errors.ProtocolError)],
)
def test_special_errors_are_caught_as_their_general_ones(special, general):
    assert issubclass(special, general)
