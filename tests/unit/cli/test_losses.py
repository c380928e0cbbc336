"""fedrisk losses: screen, files, JSON, and what it says of files that are wrong."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from support.lent_books import book, record

EXAMPLES = Path(__file__).parents[3] / "configs" / "losses"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folders of two quarters."""
    folder = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(9)
    sums = book(rng, loans=4_000)
    sums["matured_loss"] = 0.9 * sums["expected_loss"]
    for quarter in ("q1", "q2"):
        (folder / quarter).mkdir()
        record(sums, rng, name=quarter).save(folder / quarter)
    return [folder / "q1", folder / "q2"]


def test_screen_and_files(fedrisk, results, tmp_path):
    rules, other = EXAMPLES / "rules_4321.toml", EXAMPLES / "rules_5311.toml"
    code, out, err = fedrisk("losses", rules, *results, "--against", other, "--out", tmp_path / "out")
    assert code == 0
    assert all(line.startswith("written: ") for line in err.splitlines())
    assert "An expected loss of" in out
    assert "The pool of 20.00 million yuan pays all claims in" in out
    assert "back-test, losses that came inside their 95% intervals: 2 of 2 total" in out
    page = (tmp_path / "out" / "losses.html").read_text(encoding="utf-8")
    for words in ("Who bears what", "Is the pool enough?", "Against rules 5311", "Back-test", "do not say"):
        assert words in page
    plain = json.loads((tmp_path / "out" / "losses.json").read_text(encoding="utf-8"))
    assert sum(p["expected"] for p in plain["parties"]) == plain["total"]["expected"]
    assert [s["study"] for s in plain["sources"]] == ["q1", "q2"]
    with (tmp_path / "out" / "losses.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    fen = [round(100 * float(row[p])) for p in ("guarantor", "reguarantor", "bank", "government")]
    assert sum(fen) == round(100 * float(row["expected_loss"])) == plain["total"]["expected"]


def test_json_and_what_says_less_than_its_noise(fedrisk, results, tmp_path):
    code, out, _ = fedrisk("losses", EXAMPLES / "rules_5311.toml", results[0], "--json", "--out", tmp_path)
    assert code == 0
    told = json.loads(out)
    (hidden,) = [s for s in told["segments"] if not s["says"]]
    assert hidden["title"] == "others, (unknown)"
    assert hidden["expected"] is None
    rows = list(csv.DictReader((tmp_path / "losses.csv").open(encoding="utf-8")))
    assert [r["expected_loss"] for r in rows if r["segment"] == hidden["title"]] == [""]
    page = (tmp_path / "losses.html").read_text(encoding="utf-8")
    assert page.count("says less than its noise; it is in the totals") == 1


def test_a_page_escapes_what_a_file_says(fedrisk, results, tmp_path):
    rules = tmp_path / "rules.toml"
    text = (EXAMPLES / "rules_4321.toml").read_text(encoding="utf-8")
    rules.write_text(text.replace('"lending banks"', '"<script>banks"'), encoding="utf-8")
    assert fedrisk("losses", rules, results[0], "--out", tmp_path)[0] == 0
    page = (tmp_path / "losses.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;banks" in page


def test_errors_are_one_line(fedrisk, results, tmp_path):
    code, _, err = fedrisk("losses", tmp_path / "none.toml", results[0])
    assert (code, "loss rules" in err) == (3, True)
    code, _, err = fedrisk("losses", EXAMPLES / "rules_4321.toml", tmp_path)
    assert code == 3
    assert "cannot be read" in err
    rules = tmp_path / "rules.toml"
    text = (EXAMPLES / "rules_4321.toml").read_text(encoding="utf-8")
    rules.write_text(text.replace("reguarantor = 0.3", "reguarantor = 0.2"), encoding="utf-8")
    code, _, err = fedrisk("losses", rules, results[0])
    assert code == 3
    assert "shares add up to 0.9; they must add up to exactly 1" in err
