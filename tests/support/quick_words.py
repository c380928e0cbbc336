"""Fingerprints in words at a thousandth of their cost, for tests in which every member of a consortium joins anew.

What the words are, and that they cost what they should, is in tests/unit/deploy, where nothing is changed.
"""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_words() -> Iterator[None]:
    """A conftest.py that imports this has it for all tests of its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedrisk.deploy.words.ROUNDS", 16)
        yield
