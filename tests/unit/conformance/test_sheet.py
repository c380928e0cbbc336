"""The sheet: what counts as met, the exit code, and the page in both languages."""

import json

import pytest

from fedrisk.conformance import __main__ as command
from fedrisk.conformance.outcomes import TestResult
from fedrisk.conformance.requirement import Catalogue, load_catalogue
from fedrisk.conformance.sheet import digest_of, result_of, write_sheet
from fedrisk.language import speaking
from fedrisk.report.conformance import verdict
from support import pages

CATALOGUE = load_catalogue()
GOOD = {t: TestResult(outcome="passed", cases=1) for t in CATALOGUE.tests}


def with_one(outcome):
    """Results in which the first test of the first claimed requirement came out otherwise, and that requirement."""
    requirement = next(r for s in CATALOGUE.standards for r in s.requirement if r.claimed)
    first = requirement.tests[0]
    return requirement, {**GOOD, first: TestResult(outcome=outcome)}


def test_a_requirement_is_met_where_all_its_tests_passed():
    requirement, failed = with_one("failed")
    assert result_of(requirement, GOOD) == "met"
    assert result_of(requirement, failed) == "failed"
    assert result_of(requirement, with_one("not run")[1]) == "not run"
    assert result_of(requirement, {}) == "not run"
    others = [r for s in CATALOGUE.standards for r in s.requirement if not r.claimed]
    assert {result_of(r, GOOD) for r in others} == {"not claimed"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Sources that are read quickly."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("fedrisk", "sim_institutions", "tests"):
        (folder / name).mkdir()
        (folder / name / "a.py").write_text(f"# {name}\n")
    return folder


def test_the_digest_is_of_names_and_content(root, tmp_path):
    before = digest_of(root)
    assert before == digest_of(root)
    file = root / "tests" / "b.py"
    file.write_text("# tests\n")
    assert digest_of(root) != before
    file.unlink()
    assert digest_of(root) == before


def test_all_three_forms_say_the_same(root, tmp_path):
    requirement, results = with_one("failed")
    sheet = write_sheet(CATALOGUE, results, root, tmp_path, seconds=12.0)
    plain = json.loads((tmp_path / "sheet.json").read_text())
    lines = {line["id"]: line for part in plain["parts"] for line in part["lines"]}
    assert lines[requirement.id]["result"] == "failed" and plain["met"] is False
    assert sum(plain["counts"].values()) == len(lines)
    assert len(plain["digest"]) == 64 and plain["versions"]["Python"]
    text = (tmp_path / "sheet.md").read_text()
    assert verdict(sheet) in text and "no certification" in text and "clause number not verified" in text
    page = (tmp_path / "sheet.html").read_text()
    assert all(line["id"] in page and line["id"] in text for line in lines.values())
    chinese = (tmp_path / "sheet.zh.html").read_text()
    assert "不是认证" in chinese and requirement.text.zh in chinese and "no certification" not in chinese


def test_the_verdict_is_good_only_where_everything_that_is_claimed_was_met(root, tmp_path):
    assert write_sheet(CATALOGUE, GOOD, root, tmp_path, seconds=1.0).ok
    for outcome in ("failed", "not run"):
        sheet = write_sheet(CATALOGUE, with_one(outcome)[1], root, tmp_path, seconds=1.0)
        assert not sheet.ok and "1" in verdict(sheet)


@pytest.mark.parametrize(("outcome", "code"), [("passed", 0), ("failed", 1), ("not run", 1)])
def test_the_exit_code_says_it(root, tmp_path, monkeypatch, capsys, outcome, code):
    one = CATALOGUE.standards[0].model_copy(update={"requirement": CATALOGUE.standards[0].requirement[:1]})
    monkeypatch.setattr(command, "load_catalogue", lambda: Catalogue(standards=(one,)))
    monkeypatch.setattr(command, "source_tree", lambda: root)
    found = dict.fromkeys(Catalogue(standards=(one,)).tests, TestResult(outcome=outcome, cases=1))
    monkeypatch.setattr(command, "run_tests", lambda *a, **k: found)
    assert command.main(["--out", str(tmp_path)]) == code
    said = capsys.readouterr().out
    assert (one.requirement[0].id in said) == (code == 1) and "sheet.html" in said


def test_single_requirements_make_a_sheet_that_says_it_is_a_part(root, tmp_path, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(command, "source_tree", lambda: root)
    monkeypatch.setattr(command, "run_tests", lambda _, tests, **how: ran.append(tests) or GOOD)
    assert command.main(["--only", "jrt-keys", "dp-bounds", "--out", str(tmp_path)]) == 0
    chosen = [r for r in CATALOGUE.requirements if r.id in ("jrt-keys", "dp-bounds")]
    assert ran == [tuple(sorted({t for r in chosen for t in r.tests}))]
    said = f"This is a part: {len(CATALOGUE.requirements) - 2} further requirements were not asked for."
    assert said in capsys.readouterr().out and said in (tmp_path / "sheet.md").read_text()
    assert command.main(["--only", "jrt-key"]) == 2
    assert "no requirement jrt-key; did you mean jrt-keys?" in capsys.readouterr().err
    assert command.main(["--list"]) == 0 and "dp-bounds" in capsys.readouterr().out
    assert len(ran) == 1


@pages.NEEDS_CHROMIUM
@pytest.mark.parametrize("code", ["zh", pytest.param("en", marks=pytest.mark.long)])
def test_the_page_is_readable(browser, root, tmp_path, code):
    with speaking("en"):
        write_sheet(CATALOGUE, with_one("not run")[1], root, tmp_path, seconds=1.0)
    pages.check(browser, tmp_path / ("sheet.html" if code == "en" else "sheet.zh.html"))
