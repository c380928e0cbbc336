"""A question on the command line: price and expected error first, then the figures; two answers compared."""

import json

import pytest

OPEN = ["grade", "late", "debt", "usage", "cuts", "sales"]
LEVELS = """\
[levels.worth]
axis = "grade"
groups = { good = ["A", "B"], poor = ["C"] }
"""


@pytest.fixture
def files(kit, tmp_path):
    """Institution files of two banks and two holders that open some columns to statistics."""
    policy = {"recipes": ["statistics"], "purposes": ["statistics"], "statistics": []}
    made = kit.build(
        tmp_path / "institutions",
        ("alfa", "beta"),
        ("tax", "power"),
        policy=policy,
        enterprises=3000,
        study={"purpose": "statistics"},
    )
    for name, content in made.content.items():
        there = [c["name"] for c in content["dictionary"]["columns"] if c["name"] in OPEN]
        content["policy"] = {**content["policy"], "statistics": there}
        made.write(name)
    return made


def asked(fedrisk, files, *words, epsilon=2):
    return fedrisk("query", *words, "--epsilon", epsilon, "--institutions", files.folder)


def test_price_and_expected_error_come_before_anybody_is_asked(fedrisk, files):
    code, out, err = asked(fedrisk, files, "mean(usage), count(*)", "--from", "power", "--look")
    assert (code, out) == (0, "")
    assert "epsilon 2 at delta 1e-06" in err
    assert "room for" in err
    assert "likely to say" in err
    assert "by = " not in err
    code, out, err = asked(fedrisk, files, "mean(usage)", "--from", "power")
    assert code == 3
    assert "--yes" in err
    assert fedrisk("runs", "list")[1].count("query_") == 0


def test_figures_of_banks_together(fedrisk, files, tmp_path):
    study = tmp_path / "kept.toml"
    words = (
        "SELECT grade, avg(late) AS months, count(*) FROM bank GROUP BY grade",
        "--yes",
        "--json",
        "--study",
        study,
    )
    code, out, err = asked(fedrisk, files, *words)
    assert code == 0, err
    found = json.loads(out)
    grades = [r["grade"] for r in found["rows"] if r["measure"] == "count" and r["says"]]
    assert grades[:3] == ["A", "B", "C"]
    tables = [files.tables[b] for b in ("alfa", "beta")]
    exact = sum((t["grade"] == "A").sum() for t in tables)
    (count,) = [r for r in found["rows"] if r["measure"] == "count" and r["grade"] == "A"]
    assert count["low"] - 60 < exact < count["high"] + 60
    assert all(r["estimate"] is None for r in found["rows"] if not r["says"])
    # The file is a study like any other, and the same question is not charged twice by mistake.
    assert fedrisk("check", study, "--institutions", files.folder)[0] == 0
    code, _, err = asked(fedrisk, files, *words)
    assert code == 3
    assert "--again" in err


def test_where_shows_its_cells_alone_and_levels_are_named_in_a_file(fedrisk, files, tmp_path):
    levels = tmp_path / "levels.toml"
    levels.write_text(LEVELS, encoding="utf-8")
    code, out, err = asked(
        fedrisk, files, "count(*) by worth from bank where grade in ('A', 'C')", "--yes", "--levels", levels
    )
    # grade is by its own level in one table, and in groups of WHERE in the other: two levels of one column are refused.
    assert code == 3
    assert "two levels of one column" in err
    code, out, err = asked(
        fedrisk, files, "count(*), median(debt) by worth from bank", "--yes", "--levels", levels
    )
    assert code == 0, err
    assert "good" in out
    assert "poor" in out
    code, out, _ = asked(fedrisk, files, "count(*) from bank where grade in ('A', 'C')", "--yes", "--json")
    (row,) = json.loads(out)["rows"]
    exact = sum(files.tables[b]["grade"].isin(["A", "C"]).sum() for b in ("alfa", "beta"))
    assert abs(row["estimate"] - exact) < 8 * row["standard_error"]


def test_what_policies_do_not_open_is_refused_before_it_is_charged(fedrisk, files):
    code, _, err = asked(fedrisk, files, "mean(growth)", "--from", "tax", "--yes")
    assert code == 5
    assert "nobody was asked" in err
    assert fedrisk("budget", files.folder / "tax.toml")[1].count("0 % used")


def test_a_consortium_is_told_how_to_propose_it(fedrisk, files, tmp_path):
    code, out, err = asked(
        fedrisk,
        files,
        "mean(usage)",
        "--from",
        "power",
        "--hub",
        tmp_path / "hub",
        "--study",
        tmp_path / "q.toml",
    )
    assert code == 0, err
    assert "fedrisk hub submit" in out
    assert (tmp_path / "q.toml").is_file()


def test_two_answers_are_compared_at_no_price(fedrisk, files, tmp_path):
    for epsilon, name in ((2, "old"), (2.5, "new")):
        code, _, err = asked(
            fedrisk,
            files,
            "count(*), mean(late) by grade from bank",
            "--yes",
            "--out",
            tmp_path / name,
            epsilon=epsilon,
        )
        assert code == 0, err
    before = fedrisk("budget", files.folder / "alfa.toml", "--json")[1]
    code, out, err = fedrisk("drift", tmp_path / "old", tmp_path / "new")
    assert code == 0, err
    assert "no change is shown" in out
    assert "in both studies" in err
    code, out, _ = fedrisk("drift", tmp_path / "old", tmp_path / "new", "--json")
    assert json.loads(out)["changed"] is False
    assert fedrisk("budget", files.folder / "alfa.toml", "--json")[1] == before


def test_a_question_that_is_stopped_goes_on_and_is_charged_once(fedrisk, files, monkeypatch):
    from fedrisk.recipes.statistics import hub

    def stop(released):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # After the release, before members are told the totals.
        patch.setattr(hub, "blobs_of", stop)
        code, _, err = asked(fedrisk, files, "count(*) by grade from bank", "--yes")
    assert code == 130
    assert "go on with --resume" in err
    assert "Its results are kept at the hub" in err
    code, out, _ = asked(
        fedrisk, files, "count(*) by grade from bank", "--yes", "--resume", "--out", files.folder / "out"
    )
    assert code == 0
    assert "95% interval" in out
    shown = fedrisk("show", files.folder / "out")[1]
    assert "other values" in shown and "label" not in shown
    assert {name: len(list(node.ledger.entries())) for name, node in files.nodes.items()} == {
        "alfa": 1,
        "beta": 1,
        "tax": 0,
        "power": 0,
    }
