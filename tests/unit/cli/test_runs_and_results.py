"""``runs``, ``compare`` and ``results``: what they say of one run, at 80 columns and as JSON."""

import csv
import json
import re

import pandas as pd
import pytest

from fedrisk import cli
from fedrisk.cli import output
from fedrisk.cli.results_screen import _reasons
from support.unplotted import without_plots

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_writer):
    """A tiny consortium with one run at epsilon 4 and one at 8, in folders of their own."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDRISK_HOME", str(folder / "home"))
        without_plots(patch)
        tiny = tiny_writer(folder / "consortium")
        import fedrisk

        for epsilon in (4, 8):
            fedrisk.run(tiny.study_file, [f"privacy.epsilon={epsilon}"], out=folder / f"e{epsilon}")
    return folder, tiny


@pytest.fixture
def fedrisk(place, monkeypatch, capsys, unplotted, one_command_tree):
    def call(*arguments, width=80):
        monkeypatch.setenv("FEDRISK_HOME", str(place[0] / "home"))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr("sys.argv", ["fedrisk", *map(str, arguments)])
        for console in (output.out, output.err):
            monkeypatch.setattr(console, "_width", width)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in capsys.readouterr())
        assert "Traceback" not in out + err
        return int(stop.value.code or 0), out, err

    return call


@pytest.fixture
def bank(place):
    return place[1].paths["bank"]


def test_runs_are_listed_shown_and_exported(fedrisk, place, tmp_path):
    folder, _ = place
    code, out, _ = fedrisk("runs")
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    assert out.count("finished") == 2 and "tiny" in out
    _, out, _ = fedrisk("runs", "--json")
    four, eight = json.loads(out)
    assert (four["epsilon"], eight["epsilon"]) == (4.0, 8.0)
    assert (four["state"], four["results"], four["out"]) == ("finished", "whole", str(folder / "e4"))
    _, out, _ = fedrisk("runs", "show", four["attempt"][:8])
    assert four["attempt"] in out and "charged: bank, power, tax" in out and "epsilon 4" in out
    _, out, _ = fedrisk("runs", "show", four["attempt"], "--json")
    assert json.loads(out)["results"]["attempt"] == four["attempt"]
    code, out, _ = fedrisk("runs", "export", four["attempt"][:8], "--out", tmp_path / "again")
    assert code == 0
    assert (tmp_path / "again" / "metrics.json").read_bytes() == (folder / "e4" / "metrics.json").read_bytes()
    assert (tmp_path / "again" / "report.html").exists()
    code, _, err = fedrisk("runs", "export", eight["attempt"][:8], "--out", tmp_path / "again")
    assert code != 0 and four["attempt"] in err and "--again" in err
    code, _, err = fedrisk("runs", "show", "ffff")
    assert code != 0 and "no run is called ffff" in err


def test_a_study_is_not_run_again_and_a_folder_not_overwritten_by_mistake(fedrisk, place, tmp_path):
    folder, tiny = place
    before = (folder / "e8" / "metrics.json").read_bytes()
    code, _, err = fedrisk("run", tiny.study_file, "--out", tmp_path / "new")
    assert code != 0 and "every member would be charged once more" in err and "--again" in err
    code, _, err = fedrisk("run", tiny.study_file, "--set", "privacy.epsilon=1", "--out", folder / "e8")
    assert code != 0 and "holds the results of run" in err
    assert (folder / "e8" / "metrics.json").read_bytes() == before
    _, out, _ = fedrisk("runs", "--json")
    assert len(json.loads(out)) == 2


def test_two_runs_are_compared(fedrisk, place):
    folder, _ = place
    code, out, _ = fedrisk("compare", folder / "e4", folder / "e8", width=120)
    assert code == 0
    assert re.search(r"privacy\.epsilon\s+4\.0\s+8\.0", out)
    assert "within noise" in out or "more than noise" in out
    _, out, _ = fedrisk("runs", "--json")
    first = json.loads(out)[0]["attempt"]
    _, out, _ = fedrisk("compare", first[:8], folder / "e8", "--json")
    found = json.loads(out)
    assert [k["key"] for k in found["keys"]] == ["privacy.epsilon"]
    assert found["figures"][0]["code"] == "auc" and found["figures"][0]["error"] > 0
    _, out, _ = fedrisk("compare", first[:8], folder / "e4")
    assert "the same study" in out


def test_a_bank_lists_and_shows_its_results(fedrisk, place, bank):
    code, out, _ = fedrisk("results", bank)
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    assert out.count("tiny") == 2 and out.count("400") >= 2
    _, out, _ = fedrisk("results", bank, "list", "--json")
    entries = json.loads(out)["attempts"]
    assert {e["rows"] for e in entries} == {400} and all("champion" in e["models"] for e in entries)
    code, out, _ = fedrisk("results", bank, "show")
    assert code == 0
    for word in ("own hold-out", "Use ", "gains", "cut-offs", "reasons", "share of the limit in use", "KS"):
        assert word in out
    assert entries[-1]["attempt"] in out
    _, out, _ = fedrisk("results", bank, "show", entries[0]["attempt"][:8], "--json")
    shown = json.loads(out)
    assert shown["attempt"] == entries[0]["attempt"]
    assert shown["scores"]["rows"] == 400
    assert shown["tables"]["scorecard"]["auc"] == pytest.approx(shown["scorecard_auc"])
    assert sum(g["defaults"] for g in shown["tables"]["alone"]["gains"]) == shown["verdict"]["defaults"]
    _, out, _ = fedrisk("own", bank, "--json")
    assert json.loads(out)["verdict"] is not None


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_bank_exports_scores_with_reasons(fedrisk, place, bank, tmp_path, kind):
    file = tmp_path / f"scores.{kind}"
    code, out, _ = fedrisk("results", bank, "export", "--to", file)
    assert code == 0 and "400 rows" in out
    assert file.stat().st_mode & 0o077 == 0
    table = pd.read_csv(file) if kind == "csv" else pd.read_parquet(file)
    assert len(table) == 400 and table["id"].is_unique
    first = table[table["reason_1"].fillna("") != ""]
    # To a tenth of a point: the least shortfall is shown as none.
    assert (first["reason_1_points"] <= 0).all() and (first["reason_1_points"] < 0).any()
    meanings = dict(zip(first["reason_1"], first["reason_1_meaning"], strict=True))
    assert set(meanings) <= {"use", "term", "external data"} and "external data" in meanings
    assert meanings.get("use", "share of the limit in use") == "share of the limit in use"
    # The reasons are those of the card.
    assert all(one in many for one, many in zip(first["reason_1"], first["reasons"], strict=True))
    code, _, err = fedrisk("results", bank, "export", "--to", file)
    assert code != 0 and "--again" in err
    assert fedrisk("results", bank, "export", "--to", file, "--again", "--columns", "id,score")[0] == 0
    assert fedrisk("results", bank, "export", "--to", file, "--again", "--language", "zh")[0] == 0
    chinese = pd.read_csv(file) if kind == "csv" else pd.read_parquet(file)
    said = dict(zip(chinese["reason_1"], chinese["reason_1_meaning"], strict=True))
    assert said["external data"] == "各数据持有方所掌握信息的合计"
    assert fedrisk("results", bank, "export", "--to", file, "--again", "--columns", "id,score")[0] == 0
    if kind == "csv":
        assert next(csv.reader(file.open())) == ["id", "score"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export"], "--to"),
        (["show", "--to", "x.csv"], "--to"),
        (["export", "--to", "x.xlsx"], ".csv or .parquet"),
        (["export", "--to", "x.csv", "--columns", "salary"], "there is no column salary"),
        (["show", "ffffffff"], "nothing of that attempt"),
        (["fetch"], "0 attempts"),
    ],
)
def test_wrong_calls_name_the_remedy(fedrisk, bank, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    code, _, err = fedrisk("results", bank, *arguments)
    assert code != 0 and says in " ".join(err.split())
    assert not list(tmp_path.glob("x.*"))


def test_a_holder_has_attempts_and_no_scores(fedrisk, place):
    code, out, _ = fedrisk("results", place[1].paths["tax"])
    assert code == 0 and out.count("tiny") == 2
    code, _, err = fedrisk("results", place[1].paths["tax"], "show")
    assert code != 0 and "keeps figures of no study" in " ".join(err.split())


@pytest.mark.parametrize("file", ["own_figures.json", "scores.parquet", "points.parquet", "scorecard.json"])
@pytest.mark.parametrize("how", ["gone", "empty", "cut"])
def test_a_damaged_file_is_named_or_left_out(fedrisk, place, bank, file, how):
    (last,) = json.loads(fedrisk("results", bank, "list", "--json")[1])["attempts"][-1:]
    target = place[0] / "home" / "institutions" / "bank" / "results" / last["attempt"] / file
    content = target.read_bytes()
    try:
        target.unlink() if how == "gone" else target.write_bytes(
            b"" if how == "empty" else content[: len(content) // 2]
        )
        assert fedrisk("results", bank)[0] == 0
        code, _, err = fedrisk("results", bank, "show", last["attempt"])
        essential = file == "scores.parquet" or (file == "own_figures.json" and how != "gone")
        assert (code != 0) == essential
        if essential:
            assert file in err
    finally:
        target.write_bytes(content)


@pytest.mark.parametrize("width", [50, 80])
def test_nothing_is_cut_on_a_narrow_screen(fedrisk, bank, width):
    _, out, _ = fedrisk("runs", width=width)
    assert max(map(len, out.splitlines())) <= width
    for piece in ("tiny", "shed", "8", "0.", "±", "resu"):
        assert piece in out
    assert sum(re.match(r"[0-9a-f]{8} ", line) is not None for line in out.splitlines()) == 2
    _, out, _ = fedrisk("results", bank, "show", width=width)
    assert "…" not in out


def test_columns_that_are_nobody_s_reason_take_one_line():
    rows = [
        {"column": c, "meaning": c, "first": n, "below_average": n, "mean_points": -float(n)}
        for c, n in (("sales", 3), ("late", 0), ("staff", 0))
    ]
    with output.out.capture() as shown:
        _reasons(rows)
    text = shown.get()
    assert text.count("sales") == 1 and "late" not in text
    assert "2 more columns are nobody's reason" in text


def test_what_to_do_is_shown_as_a_choice(fedrisk, bank):
    code, _, err = fedrisk("results", bank, "lst")
    assert code == 2 and "]:" not in err
