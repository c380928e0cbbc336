"""Display names in reports: beside or in place of names, never in the files of a run."""

from dataclasses import replace

import pytest
from rich.console import Console

from fedrisk.findings import Finding
from fedrisk.recipe import Section
from fedrisk.report.display import for_people
from fedrisk.report.html import render
from fedrisk.report.text import summary

pytestmark = pytest.mark.slow

NAMES = {"bank": "甲银行", "tax": "江西省税务局"}


@pytest.fixture
def named(finished):
    return replace(finished["private"], display_names=NAMES)


def test_the_report_shows_them_and_the_name_once_beside_each(named):
    page = render(named)
    for name, shown in NAMES.items():
        assert shown in page
        assert f"{shown} <small>{name}</small>" in page
    assert "江西省税务局.sales" in page and "tax.sales" not in page
    assert "power" in page
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary(named))
    text = console.export_text()
    assert "江西省税务局" in text and "甲银行" in text and "tax." not in text


def test_without_them_nothing_changes(finished):
    results = finished["private"]
    assert results.display_names == {}
    assert for_people(results) is results
    assert for_people(replace(results, display_names=NAMES)).card.points == results.card.points


def test_the_files_of_a_run_keep_the_names(named, tmp_path):
    named.save(tmp_path)
    again = type(named).load(tmp_path)
    assert again.display_names == NAMES
    assert set(again.institutions) == {"bank", "tax", "power"}
    assert [b.feature.institution for b in again.card.bins] == [
        b.feature.institution for b in named.card.bins
    ]


def test_findings_and_sections_are_renamed_and_codes_are_not(finished):
    section = Section(
        code="features",
        columns=("feature",),
        rows=(("tax.sales", "tax"), (Finding("lost_from", {"trainer": "tax", "step": 2}), None)),
    )
    named = for_people(
        replace(
            finished["private"],
            display_names=NAMES,
            sections=(section,),
            findings=(Finding("even_edges", {"names": "tax.sales, power.load", "columns": 2}),),
        )
    )
    assert named.sections[0].rows[0] == ("江西省税务局.sales", "tax")
    assert named.sections[0].rows[1][0].values == {"trainer": "江西省税务局", "step": 2}
    assert named.findings[0].values["names"] == "江西省税务局.sales, power.load"
