"""Running tests by their ids in pytest, and what came of each.

A test counts as passed only where at least one of its cases ran and passed and none failed or was skipped: what did not
run is not known, and is never taken for good.
"""

import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from fedrisk.conformance.node_ids import exists
from fedrisk.errors import ConfigError

Outcome = Literal["passed", "failed", "not run"]

TIMEOUT = 1800
"""Seconds after which the run is given up; what had no result by then is not run."""

LONG_TOO = "not mangle and not damage"
"""Marks of tests that are asked for by name: those that last minutes by themselves stay out."""

RAN = (0, 1, 5)
"""Exit codes of a pytest that worked: all passed, some failed, none was chosen."""

Cases = dict[str, list[tuple[Outcome, float]]]
"""Outcomes and seconds of all cases by test id."""


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """What came of one test. cases: how many of it passed. note: why it counts as not run, for people, in English."""

    # pytest would take the class for a collection of tests.
    __test__ = False

    outcome: Outcome
    cases: int = 0
    seconds: float = 0.0
    note: str = ""


def run_tests(root: Path, node_ids: Collection[str], *, workers: int = 2) -> dict[str, TestResult]:
    """Run the tests of these ids below ``root``, each once; the result of every id, also of those that there are not.

    workers: processes that pytest spreads them over; 1 runs them here in one.
    """
    there = [i for i in sorted(node_ids) if exists(root, i)]
    missing = {
        i: TestResult(outcome="not run", note="there is no such test") for i in node_ids if i not in there
    }
    if not there:
        return missing
    with tempfile.TemporaryDirectory(prefix="fedrisk-conformance-") as folder:
        cases = _pytest(root, there, Path(folder) / "usual.xml", workers)
        # What make test leaves to longer runs is asked for by name here; of what it samples the sample is enough.
        late = [i for i in there if i not in cases]
        if late:
            cases |= _pytest(root, late, Path(folder) / "long.xml", workers, ("-m", LONG_TOO))
    return {**results(there, cases), **missing}


def results(
    node_ids: Iterable[str], cases: Mapping[str, Sequence[tuple[Outcome, float]]]
) -> dict[str, TestResult]:
    """The result of each test from those of its cases.

    >>> results(["a::b"], {"a::b": [("passed", 1.0), ("not run", 0.0)]})["a::b"].outcome
    'not run'
    """
    out = {}
    for node_id in node_ids:
        found = cases.get(node_id, ())
        outcomes = {outcome for outcome, _ in found}
        seconds = sum(s for _, s in found)
        passed = sum(outcome == "passed" for outcome, _ in found)
        if "failed" in outcomes:
            out[node_id] = TestResult(outcome="failed", cases=passed, seconds=seconds)
        elif not found or "not run" in outcomes:
            note = "no case of it ran" if not passed else "a case of it was skipped"
            out[node_id] = TestResult(outcome="not run", cases=passed, seconds=seconds, note=note)
        else:
            out[node_id] = TestResult(outcome="passed", cases=passed, seconds=seconds)
    return out


def _pytest(
    root: Path, node_ids: Sequence[str], report: Path, workers: int, options: Sequence[str] = ()
) -> Cases:
    spread = ["-n", str(workers), "--dist", "worksteal"] if workers > 1 else []
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *spread, *options]
    command += ["--no-header", f"--junitxml={report}", "-o", "junit_family=xunit1", *node_ids]
    try:
        # What it says goes to whoever started this, so that a failure can be read.
        done = subprocess.run(command, cwd=root, stdout=sys.stderr, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return {}
    if done.returncode not in RAN or not report.is_file():
        raise ConfigError(
            f"pytest ended with code {done.returncode} before it had run the tests; what it said stands above. Install "
            'what tests need: pip install -e ".[test]"'
        )
    return _cases(report)


def _cases(report: Path) -> Cases:
    out: Cases = {}
    for case in ElementTree.parse(report).iter("testcase"):
        node_id = f"{case.get('file')}::{case.get('name', '').partition('[')[0]}"
        out.setdefault(node_id, []).append((_outcome(case), float(case.get("time", 0.0))))
    return out


def _outcome(case: ElementTree.Element) -> Outcome:
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "failed"
    return "not run" if "skipped" in kinds else "passed"
