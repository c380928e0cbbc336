"""Errors: the tree, and the codes that other parties see, which must never change."""

import pytest

from fedrisk import errors

CODES = {
    "FedriskError": "error",
    "ConfigError": "config",
    "DataError": "data",
    "AwayError": "later",
    "PolicyError": "refused",
    "BudgetError": "budget",
    "QuotaError": "quota",
    "ProtocolError": "protocol",
    "EnvelopeError": "envelope",
    "VersionError": "version",
    "PeerError": "peer",
    "LostError": "peer",
    "LaterError": "later",
    "TrainingError": "training",
    "StoreError": "store",
    # What is wrong with a store is for its own people.
    "NothingYet": "store",
    "OwnerError": "store",
}


def test_every_error_has_its_own_code():
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    found = {name: kind for name, kind in kinds.items() if issubclass(kind, errors.FedriskError)}
    assert {name: kind.code for name, kind in found.items()} == CODES
    # Beside the tree: what a person stops, and what is told without stopping anything.
    assert kinds.keys() - found.keys() == {"Stopped", "LeftUndone"}


@pytest.mark.parametrize(
    ("special", "general"),
    [
        (errors.BudgetError, errors.PolicyError),
        (errors.EnvelopeError, errors.ProtocolError),
        (errors.VersionError, errors.ProtocolError),
    ],
)
def test_special_errors_are_caught_as_their_general_ones(special, general):
    assert issubclass(special, general)
