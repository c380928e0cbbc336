"""Cases of a test of which ``make test`` takes a sample and ``make long`` the rest."""

import pytest


def sampled(cases, every):
    """Every so-many-th case as it is, beginning with the first; the others marked ``long``. Keeps their ids."""
    out = []
    for k, case in enumerate(cases):
        values = case if isinstance(case, tuple) else (case,)
        out.append(pytest.param(*values, marks=() if k % every == 0 else (pytest.mark.long,)))
    return out
