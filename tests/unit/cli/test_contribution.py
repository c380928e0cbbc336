"""fedrisk contribution: screen, files, JSON, and a value less than its noise, which is nowhere a figure."""

import csv
import json
from pathlib import Path

import pytest

from fedrisk.analysis.contribution import contributions
from support import pages
from support.card_record import card_record

RULES = Path(__file__).parents[3] / "configs" / "contribution" / "rewards.toml"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    card_record().save(folder)
    return folder


def test_screen_and_files(fedrisk, results, tmp_path):
    code, out, err = fedrisk("contribution", results, "--rules", RULES, "--out", tmp_path / "out")
    assert code == 0
    assert "all together explain" in out
    assert "1,000,000.00 yuan in all" in out
    assert "税务局" in out
    assert "2 banks together" in err
    page = (tmp_path / "out" / "contribution.html").read_text(encoding="utf-8")
    for words in (
        "Institutions",
        "Reward, rules data_pool_2026",
        "Quality",
        "Columns",
        "do not say",
        "no further privacy",
    ):
        assert words in page
    with (tmp_path / "out" / "contribution.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {r["institution"] for r in rows} == {"bank", "tax", "power", "court"}
    code, out, _ = fedrisk("contribution", results, "--json")
    plain = json.loads(out)
    assert (code, plain["reward"]) == (0, None)
    assert [p["institution"] for p in plain["institutions"]] == ["bank", "tax", "power", "court"]


def test_the_page_is_in_the_language_that_is_asked_for(fedrisk, results, tmp_path):
    code, _, _ = fedrisk("contribution", results, "--rules", RULES, "--out", tmp_path, "--language", "zh")
    page = (tmp_path / "contribution.html").read_text(encoding="utf-8")
    assert code == 0
    assert "收益分配，规则data_pool_2026" in page
    for english in ("noise", "institution", "yuan", "deviance<", "at most"):
        assert english not in page


@pytest.mark.long
@pytest.mark.plots
@pages.NEEDS_CHROMIUM
@pytest.mark.parametrize("code", ["en", "zh"])
def test_the_page_is_readable(fedrisk, browser, results, tmp_path, code):
    assert fedrisk("--language", code, "contribution", results, "--rules", RULES, "--out", tmp_path)[0] == 0
    pages.check(browser, tmp_path / "contribution.html")


def test_what_is_less_than_its_noise_is_nowhere_a_figure(fedrisk, tmp_path):
    record = card_record(n=3_000, epsilon=0.2)
    (tmp_path / "r").mkdir()
    record.save(tmp_path / "r")
    silent = [p for p in contributions(record).columns if not p.worth["deviance"].says]
    assert silent
    fedrisk("contribution", tmp_path / "r", "--out", tmp_path / "out")
    plain = json.loads((tmp_path / "out" / "contribution.json").read_text(encoding="utf-8"))
    with (tmp_path / "out" / "contribution.csv").open(encoding="utf-8") as file:
        rows = {(r["institution"], r["column"], r["measure"]): r for r in csv.DictReader(file)}
    page = (tmp_path / "out" / "contribution.html").read_text(encoding="utf-8")
    for player in silent:
        (one,) = [
            p
            for p in plain["columns"]
            if (p["institution"], p["column"]) == (player.institution, player.column)
        ]
        shown = one["worth"]["deviance"]
        assert not shown["says"]
        assert {shown[k] for k in ("value", "low", "error", "noise", "sampling", "share")} == {None}
        row = rows[player.institution, player.column, "deviance"]
        assert (row["value"], row["share"], row["low"]) == ("", "", "")
        assert f"{player.worth['deviance'].value:.6g}" not in page
    assert page.count(">noise<") >= len(silent)


def test_a_research_run_says_that_it_has_no_privacy(fedrisk, tmp_path):
    card_record(n=3_000, research=True).save(tmp_path)
    _, out, _ = fedrisk("contribution", tmp_path, "--out", tmp_path / "out")
    assert "NO PRIVACY" in out.upper()
    assert "alarm" in (tmp_path / "out" / "contribution.html").read_text(encoding="utf-8")


def test_what_is_wrong_is_named(fedrisk, results, tmp_path):
    (tmp_path / "r.toml").write_text('name = "r"\namount = "1.234"\n')
    code, _, err = fedrisk("contribution", results, "--rules", tmp_path / "r.toml")
    assert code != 0
    assert "amount" in err
    code, _, err = fedrisk("contribution", tmp_path)
    assert code != 0
    assert "release_record.npz" in err
