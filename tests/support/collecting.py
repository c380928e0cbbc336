"""What is looked at before the first test: every process of a run does it, so it is kept small.

The hooks of a conftest.py are not asked about files beside its folder, so this is a plugin, which tests/conftest.py registers.
"""

import gc
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[2] / "fedrisk"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """A module of the package whose text has no example has no doctest: it is not imported to look for one."""
    if collection_path.suffix == ".py" and collection_path.is_relative_to(PACKAGE):
        return b">>>" not in collection_path.read_bytes() or None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Generator[None, Any, Any]:
    """Modules of tests are not searched for doctests: they have none."""
    found = yield
    return [c for c in found if file_path.is_relative_to(PACKAGE) or type(c).__name__ != "DoctestModule"]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Nearly all that is made now stays: to look for garbage among it again and again would find none."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
