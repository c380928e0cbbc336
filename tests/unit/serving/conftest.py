"""One deployed model for all tests of a bank's service: its study runs once a session."""

from collections.abc import Callable
from typing import Any

import pytest

from support.deployed_bank import Place, deployed_bank
from support.quick_words import quick_words

__all__ = ["bank_place", "quick_words"]


@pytest.fixture(scope="session")
def bank_place(tmp_path_factory: pytest.TempPathFactory, tiny_writer: Callable[..., Any]) -> Place:
    """A tiny consortium whose model is deployed; change nothing of it that others would see."""
    folder = tmp_path_factory.mktemp("deployed-bank")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDRISK_HOME", str(folder / "home"))
        return deployed_bank(folder, tiny_writer)
