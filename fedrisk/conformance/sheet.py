"""The sheet of a self-check, made of requirements and results of tests, and written in its three forms."""

import hashlib
import json
import platform
import ssl
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fedrisk.conformance.outcomes import TestResult
from fedrisk.conformance.requirement import Catalogue, Requirement, Standard
from fedrisk.files import write_atomic
from fedrisk.language import speaking
from fedrisk.report.conformance import (
    RequirementLine,
    Result,
    Sheet,
    StandardPart,
    TestLine,
    markdown,
    render,
)
from fedrisk.report.page import write_page

PACKAGES = (
    "fedrisk",
    "cryptography",
    "pyhpke",
    "rbcl",
    "opendp",
    "flwr",
    "grpcio",
    "numpy",
    "scipy",
    "torch",
    "pytest",
)
"""Packages whose versions a sheet states: those that protect something, compute it, or test it."""

SOURCES = ("fedrisk", "sim_institutions", "tests")
SUFFIXES = {".py", ".pyi", ".toml", ".jinja", ".po", ".json", ".proto", ".csv"}


def make_sheet(
    catalogue: Catalogue,
    results: Mapping[str, TestResult],
    root: Path,
    *,
    seconds: float,
    code: str,
    left_out: int = 0,
) -> Sheet:
    """The sheet in a language. root: of the sources that were tested. seconds: that the tests took.

    left_out: requirements that the catalogue has and this sheet has not.
    """
    return Sheet(
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        seconds=seconds,
        digest=digest_of(root),
        versions=versions(),
        parts=tuple(_part(standard, results, code) for standard in catalogue.standards),
        left_out=left_out,
    )


def write_sheet(
    catalogue: Catalogue,
    results: Mapping[str, TestResult],
    root: Path,
    folder: Path,
    *,
    seconds: float,
    left_out: int = 0,
) -> Sheet:
    """Write sheet.json, sheet.md and sheet.html, the last two in Chinese as well (sheet.zh.*); the English sheet.

    left_out: as of `make_sheet`.

    StoreError names a file that cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sheets = {}
    for code, ending in (("en", ""), ("zh", ".zh")):
        with speaking(code):
            sheet = sheets[code] = make_sheet(
                catalogue, results, root, seconds=seconds, code=code, left_out=left_out
            )
            write_page(folder / f"sheet{ending}.html", render(sheet), private=False)
            write_atomic(folder / f"sheet{ending}.md", markdown(sheet).encode("utf-8"), private=False)
    made = {**asdict(sheets["en"]), "met": sheets["en"].ok}
    text = json.dumps(made, ensure_ascii=False, indent=1)
    write_atomic(folder / "sheet.json", text.encode("utf-8"), private=False)
    return sheets["en"]


def result_of(requirement: Requirement, results: Mapping[str, TestResult]) -> Result:
    """Met where every test passed; failed where one failed; else not run, also where a test has no result."""
    if not requirement.claimed:
        return "not claimed"
    outcomes = {results[t].outcome if t in results else "not run" for t in requirement.tests}
    if "failed" in outcomes:
        return "failed"
    return "met" if outcomes == {"passed"} else "not run"


def versions() -> dict[str, str]:
    """Versions of Python, OpenSSL and the packages that matter."""
    out = {"Python": platform.python_version(), "OpenSSL": ssl.OPENSSL_VERSION}
    for name in PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out


def digest_of(root: Path) -> str:
    """SHA-256 (hex) of all files of sources and tests by name and content, the same wherever they lie."""
    found = hashlib.sha256()
    for file in sorted(p for part in SOURCES for p in (root / part).rglob("*") if p.suffix in SUFFIXES):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        found.update(f"{file.relative_to(root).as_posix()} {content}\n".encode())
    return found.hexdigest()


def _part(standard: Standard, results: Mapping[str, TestResult], code: str) -> StandardPart:
    return StandardPart(
        name=standard.name,
        title=standard.title.of(code),
        edition=standard.edition,
        source=standard.source.of(code),
        lines=tuple(_line(requirement, results, code) for requirement in standard.requirement),
    )


def _line(requirement: Requirement, results: Mapping[str, TestResult], code: str) -> RequirementLine:
    missing = TestResult(outcome="not run", note="no result")
    found = [(t, results.get(t, missing)) for t in requirement.tests]
    return RequirementLine(
        id=requirement.id,
        clause=requirement.clause,
        clause_checked=requirement.clause_checked,
        text=requirement.text.of(code),
        result=result_of(requirement, results),
        tests=tuple(TestLine(id=t, outcome=r.outcome, cases=r.cases, note=r.note) for t, r in found),
        reason="" if requirement.reason is None else requirement.reason.of(code),
    )
