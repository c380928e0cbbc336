"""Exit codes: each kind of error that fedrisk raises on purpose has one that says what it is."""

import pytest

from fedrisk import errors
from fedrisk.cli.exits import EXIT_CODES, exit_code

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.FedriskError) and kind is not errors.FedriskError
]


@pytest.mark.parametrize("kind", KINDS)
def test_no_error_of_ours_ends_as_one_that_was_not_foreseen(kind):
    code = exit_code(kind("text"))
    assert code != 10
    assert code in EXIT_CODES
    assert f"{kind.code}" in EXIT_CODES[code]
