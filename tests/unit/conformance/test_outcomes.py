"""What came of tests: only what ran and passed counts as passed."""

from pathlib import Path

import pytest

from fedrisk.conformance.outcomes import results, run_tests

PASSED, FAILED, SKIPPED = ("passed", 1.0), ("failed", 1.0), ("not run", 0.0)


@pytest.mark.parametrize(
    ("cases", "outcome"),
    [
        ([PASSED], "passed"),
        ([PASSED, PASSED], "passed"),
        ([PASSED, FAILED], "failed"),
        ([FAILED, SKIPPED], "failed"),
        ([PASSED, SKIPPED], "not run"),
        ([SKIPPED], "not run"),
        ([], "not run"),
    ],
)
def test_outcomes_of_a_test_by_its_cases(cases, outcome):
    assert results(["a::b"], {"a::b": cases})["a::b"].outcome == outcome


def test_a_test_without_a_result_is_not_run():
    assert results(["a::b"], {})["a::b"].note == "no case of it ran"


CONFTEST = """
import pytest


def pytest_configure(config):
    for mark in ("long", "mangle", "damage"):
        config.addinivalue_line("markers", mark)
"""

TESTS = """
import pytest


@pytest.mark.parametrize("n", [1, 2])
def test_good(n):
    assert n


@pytest.mark.parametrize("n", [0, 1])
def test_bad(n):
    assert n


def test_skipped():
    pytest.skip("not here")


@pytest.mark.xfail
def test_known_to_fail():
    assert False


@pytest.mark.long
def test_long():
    pass


@pytest.mark.mangle
def test_of_minutes():
    pass
"""


def test_tests_are_run_by_their_ids(tmp_path, capfd, monkeypatch):
    """In a pytest of its own: passed, failed, skipped, expected to fail, marked as long, of minutes, and not there."""
    # Without what is installed beside it, it starts in a second.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    file = tmp_path / "tests" / "test_them.py"
    file.parent.mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -q -m 'not long and not mangle and not damage'\n"
    )
    file.write_text(TESTS)
    names = ("good", "bad", "skipped", "known_to_fail", "long", "of_minutes", "nowhere")
    found = run_tests(tmp_path, [f"tests/test_them.py::test_{name}" for name in names], workers=1)
    assert [found[f"tests/test_them.py::test_{name}"].outcome for name in names] == [
        *("passed", "failed", "not run", "not run", "passed", "not run", "not run")
    ]
    assert found["tests/test_them.py::test_good"].cases == 2
    assert "assert 0" in capfd.readouterr().err


def test_nothing_is_run_where_nothing_is_there(tmp_path):
    (found,) = run_tests(Path(tmp_path), ["tests/a.py::test_b"]).values()
    assert (found.outcome, found.note) == ("not run", "there is no such test")
