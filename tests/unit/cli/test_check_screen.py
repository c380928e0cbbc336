"""The screen of ``fedrisk check``: read from its end, with like remarks on one line."""

import json

import pytest
from rich.console import Console

from fedrisk.cli.check_screen import plain, screen, verdict
from fedrisk.clients.label_rate import Labels
from fedrisk.data.checks import Check as TableCheck
from fedrisk.engine.checked import Check, Line
from fedrisk.findings import Finding
from fedrisk.recipes import study_from

STUDY = study_from(
    {
        "name": "lab",
        "purpose": "credit_scoring",
        "privacy": {"epsilon": 1},
        "institutions": [{"name": "bank", "role": "bank"}, {"name": "tax", "role": "holder"}],
    }
)


def outside(column, rows, high, severity="note"):
    rule = f"outside the public bounds [0, {high}]"
    return TableCheck(column, rule, rows, rows / 1000, severity, "counted as the bound", (7, 9), ("-999",))


def found(*lines, **more):
    names = [line.name for line in lines]
    lines = (
        *lines,
        *(Line(name=n, role="holder", rows=9, features=1) for n in ("bank", "tax") if n not in names),
    )
    return Check(study="lab", content=STUDY, institutions=lines, plan=None, expectations=(), **more)


def line(name, **parts):
    return Line(name=name, role="bank", rows=1000, features=3, **parts)


def shown(check, width=80, verbose=False):
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(screen(check, verbose=verbose))
    return capture.get()


def test_the_verdict_is_the_last_line():
    assert shown(found()).rstrip().splitlines()[-1] == "study lab: would run"
    bad = found(line("bank", refused=("no",), checks=(outside("a", 40, 5, "error"),)), refused=("never",))
    assert shown(bad).rstrip().splitlines()[-1] == "study lab: would be refused, for 3 reasons"
    assert bad.reasons == 3 and str(verdict(bad)) in shown(bad)


def test_like_notes_of_several_columns_stand_on_one_line():
    notes = (outside("a", 4, 5), outside("b", 6, 70))
    text = " ".join(shown(found(line("bank", checks=notes))).split())
    assert "bank: a (4 rows), b (6 rows): outside the public bounds; counted as the bound" in text
    every = " ".join(shown(found(line("bank", checks=notes)), verbose=True).split())
    assert (
        "a: outside the public bounds [0, 5] (4 rows" in every
        and "b: outside the public bounds [0, 70]" in every
    )


def test_like_notes_of_several_institutions_name_whose_columns_they_are():
    check = found(line("bank", checks=(outside("a", 4, 5),)), line("tax", checks=(outside("b", 6, 5),)))
    assert "- bank.a (4 rows), tax.b (6 rows): outside the public bounds [0, 5];" in shown(check, width=200)


def test_findings_of_columns_are_folded_and_told_with_their_figures():
    asked = tuple(Finding("bounds_wide", {"column": f"c{k}", "share": k / 100}) for k in range(9))
    text = shown(found(line("bank", asked=asked)), width=300)
    assert (
        "in c0 (0.0%), c1 (1.0%), c2 (2.0%), c3 (3.0%), c4 (4.0%), c5 (5.0%) and 3 more (--verbose) of"
        in text
    )
    assert "1 thing worth a look" in text
    assert shown(found(line("bank", asked=asked)), verbose=True).count("98 in 100 values") == 9


def test_published_seasons_are_a_short_line_and_json_has_the_numbers():
    year = [1.2, 0.8, *[1.0] * 10]
    season = {"farming": [0.7, 1.3, *[1.0] * 10], "other": year}
    notes = (
        Finding("season_stated", {"series": ["sales", "orders"], "season": season, "by": "sector"}),
        Finding("season_stated", {"series": ["load"], "season": {"other": year}, "by": "sector"}),
    )
    check = found(line("tax", notes=notes))
    text = " ".join(shown(check).split())
    assert (
        "tax: divides sales, orders by published indices of the season, by sector: 0.7 (January, farming) to 1.3 "
        "(February, farming)" in text
    )
    assert "load by published indices of the season: 0.8 (February) to 1.2 (January)" in text
    said = next(i for i in plain(check)["institutions"] if i["name"] == "tax")["notes"]
    assert [n["values"]["season"] for n in said] == [season, {"other": year}]


def test_the_owner_sees_rows_and_values_and_json_has_neither():
    code = Finding("code_inside", {"column": "b", "value": "-999", "rows": 4})
    labels = Labels(labelled=1000, positive=120)
    check = found(line("bank", checks=(outside("a", 2, 5, "error"),), labels=labels, asked=(code,)))
    text = " ".join(shown(check).split())
    assert 'rows 7, 9; value "-999"' in text and "b (-999, 4 rows)" in text and "120 (12.0%)" in text
    content = json.dumps(plain(check))
    assert "-999" not in content and '"at"' not in content
    assert plain(check)["reasons"] == 1 and plain(check)["refusals"][0]["institution"] == "bank"


def test_an_optional_member_is_left_out_and_no_reason():
    check = found(line("bank", refused=("it may not",), left_out=True))
    assert not check.broken
    assert "the study would go on without it" in " ".join(shown(check).split())


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_screen(width):
    check = found(
        line("bank", refused=("word " * 60,), asked=(Finding("labels_few", {"positive": 9, "least": 50}),))
    )
    assert max(map(len, shown(check, width).splitlines())) <= width
