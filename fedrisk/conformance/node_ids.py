"""Ids of tests, as pytest writes them: whether there is such a test, told from the files without running anything."""

import re
from functools import cache
from pathlib import Path

from fedrisk.errors import ConfigError

_TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
"""A test function at the top of its file. What only looks like one gets no result when it is run, and is not met."""


def source_tree() -> Path:
    """The folder of the sources that this package is part of; ConfigError where it was installed without its tests."""
    root = Path(__file__).parents[2]
    if not (root / "tests").is_dir():
        raise ConfigError(
            "the tests are not beside this installation; run make conformance in a checkout of the sources"
        )
    return root


def split(node_id: str) -> tuple[str, str]:
    """Path and function of an id.

    >>> split("tests/unit/test_a.py::test_b")
    ('tests/unit/test_a.py', 'test_b')
    """
    path, _, name = node_id.partition("::")
    return path, name


def exists(root: Path, node_id: str) -> bool:
    """Whether the sources below ``root`` have a test of this id; cases of a test are not told apart."""
    path, name = split(node_id)
    return name in _tests(root / path)


@cache
def _tests(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    return frozenset(_TEST.findall(path.read_text(encoding="utf-8")))
