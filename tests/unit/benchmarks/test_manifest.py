"""Every folder of benchmarks has a manifest whose figures are in its results, and the table is what they make."""

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.redo import manifest as manifests
from benchmarks.redo.manifest import BENCHMARKS, Broken, Claim, load, load_all, values, written
from benchmarks.redo.table import BEGIN, END, table

ALL = load_all()
FOLDERS = {f.name for f in BENCHMARKS.iterdir() if (f / "README.md").exists()}
SMALL = """
[[runs]]
name = "run"
command = ["x.py"]
minutes = 1
[[claims]]
name = "one"
part = "worth"
place = 1
says = "at most {loss.bound}"
measured = "{loss}"
[claims.figures.loss]
path = ["loss"]
bound = 0.5
same = 0.1
show = ".2f"
why = "seeded"
"""


def small(folder, text=SMALL):
    (folder / "claim.toml").write_text(text)
    return load(folder)


def test_every_folder_has_a_manifest_and_its_scripts_are_there():
    assert set(ALL) >= FOLDERS
    for made in ALL.values():
        for run in made.runs:
            script = Path(run.command[0])
            assert (BENCHMARKS.parent / script).exists() and script.parent.name == made.folder, run.command
        assert len({run.name for run in made.runs}) == len(made.runs)
        assert len({claim.name for claim in made.claims}) == len(made.claims) > 0


@pytest.mark.parametrize("name", sorted(ALL))
def test_figures_are_in_the_results_that_are_kept(name):
    found = values(ALL[name], BENCHMARKS / name)
    waiting = {claim.name for claim in ALL[name].claims if claim.waits}
    assert [f for f, value in found.items() if value is None and f.split(": ")[0] not in waiting] == []


def test_results_that_figures_are_in_are_written_by_a_run():
    for made in ALL.values():
        wrote = {file for run in made.runs for file in run.writes}
        assert {f.file for f in made.figures.values()} <= wrote, made.folder


def test_the_table_of_claims_is_what_manifests_and_results_make():
    text = (BENCHMARKS / "README.md").read_text("utf-8")
    begin, end = text.index(BEGIN), text.index(END) + len(END)
    assert text[begin:end] == table(ALL), "run python -m benchmarks.redo table"


def test_every_bound_is_shown_or_its_figure_is():
    for made in ALL.values():
        for claim in made.claims:
            shown = set(re.findall(r"\{(\w+)", claim.says + claim.measured))
            assert len(shown & set(claim.figures)) >= min(1, len(claim.figures)), claim.name


def test_a_figure_that_misses_its_bound_is_bold(tmp_path):
    claim = small(tmp_path).claims[0]
    assert written("{loss} of {loss.bound}", claim, {"one: loss": 0.25}) == ".25 of .5"
    assert written("{loss} of {loss.bound}", claim, {"one: loss": 0.75}) == "**.75** of .5"
    assert written("{loss}", claim, {"one: loss": None}) == "(not measured)"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{loss.bound}", "{gain}", r"uses \['gain'\]"),
        ("bound = 0.5\n", "", r"loss has no bound"),
        ("minutes = 1", "minutes = 0", "greater than 0"),
        ('name = "run"', 'name = "run"\nhours = 1', "Extra inputs"),
        ('show = ".2f"', 'show = ".2q"', "format"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(tmp_path, old, new, said):
    with pytest.raises(Broken, match=said):
        small(tmp_path, SMALL.replace(old, new, 1))


def test_a_claim_without_figures_says_why(tmp_path):
    head = SMALL[: SMALL.index("[claims.figures")].replace("{loss.bound}", "x").replace("{loss}", "x")
    with pytest.raises(Broken, match="by_hand"):
        small(tmp_path, head)
    assert small(tmp_path, head + 'by_hand = "read off a page"').claims[0].by_hand


def test_manifests_are_read_as_they_are_written():
    for name in ALL:
        text = (BENCHMARKS / name / manifests.NAME).read_text("utf-8")
        assert isinstance(Claim(**tomllib.loads(text)["claims"][0]), Claim)
