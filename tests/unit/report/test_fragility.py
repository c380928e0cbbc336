"""The index's page, tables and command: what they show, and that a withheld figure is in none of them."""

import csv
import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest

from fedrisk.analysis.fragility_panel import load_records, panel_of
from fedrisk.analysis.fragility_settings import load_settings
from fedrisk.analysis.fragility_table import Fragility, by_rank, frame, summary
from fedrisk.language import speaking
from fedrisk.report.fragility import colour, render
from fedrisk.report.geometry import load_shapes
from support import pages, quarters

COUNT = 6
HIT = quarters.CELLS.index(("c07", "trade"))


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A series in which one cell has a shock and ten cells are too small to say anything."""
    means = quarters.moves(COUNT, 3)
    means[:, -1, HIT] += 0.15 * np.array([-1, -1, 1])
    rows = np.full(len(quarters.CELLS), 1500.0)
    rows[:10] = 70.0
    return quarters.write(tmp_path_factory.mktemp("series"), means, rows, 12.0)


@pytest.fixture(scope="module")
def found(series):
    settings = load_settings(series)
    return Fragility.of(settings, panel_of(settings, load_records(settings, series.parent)))


def test_the_page(series, found):
    page = render(found, load_shapes(series.parent / "map.geojson", "county"))
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "2025Q2, by county and sector; held against 2024Q1 to 2025Q1" in text
    assert "the most fragile of them is c07 · trade, at" in text
    # Two maps of 40 counties, every figure of which stands in a table as well.
    assert page.count('role="img" aria-label="map of') == 2
    assert "epsilon, all of them" in text
    assert "What the figures do not say" in text
    # Names come from files: they are text, and nothing of them is markup.
    assert "Growth &lt;growth&gt;" in page
    assert "<growth>" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


@pages.NEEDS_CHROMIUM
@pytest.mark.parametrize("code", [pytest.param("en", marks=pytest.mark.long), "zh"])
def test_the_page_is_readable(browser, series, found, tmp_path, code):
    with speaking(code):
        page = render(found, load_shapes(series.parent / "map.geojson", "county"))
    pages.check(browser, tmp_path / "page.html", page)


def test_a_withheld_cell_has_no_figure_anywhere(series, found):
    judged = found.last
    withheld = np.flatnonzero(judged.withheld)
    assert len(withheld) >= 8
    table = frame(found)
    rows = table[(table["quarter"] == judged.quarter) & table["withheld"]]
    assert len(rows) == len(withheld)
    figures = rows.drop(columns=["quarter", "county", "sector", "withheld", "alarm"])
    assert figures.isna().all().all()
    assert not rows["alarm"].any()
    plain = summary(found)
    names = {(c["county"], c["sector"]) for c in plain["cells"]}
    assert not names & {found.panel.cells[c] for c in withheld}
    page = render(found, load_shapes(series.parent / "map.geojson", "county"))
    for c in withheld:
        name = " · ".join(found.panel.cells[c])
        places = [m.start() for m in re.finditer(re.escape(name), page)]
        # Named once, in the list of those that are withheld.
        assert len(places) == 1
    assert page.count(": withheld</title>") == len(withheld)


def test_without_a_map(found):
    page = render(found, None)
    assert "<h2>Maps</h2>" not in page
    assert "The most fragile cells" in page


def test_ranks_and_points_of_the_table(found):
    table = frame(found)
    last = table[(table["quarter"] == found.last.quarter) & ~table["withheld"]]
    parts = last[[c for c in last.columns if c.startswith("points: ")]]
    assert np.allclose(parts.sum(axis=1), last["index"] - 50, atol=0.01)
    first = last[last["rank"] == 1].iloc[0]
    assert (first["county"], first["sector"]) == ("c07", "trade")
    assert first["alarm"]
    assert by_rank(found.last)[0] == found.panel.cells.index(("c07", "trade"))


def test_darker_is_worse():
    """In print without colour the classes from 50 on are told by how dark they are."""

    def light(code):
        return sum(w * int(code[k : k + 2], 16) for w, k in ((0.3, 1), (0.59, 3), (0.11, 5)))

    shades = [light(colour(index)) for index in (0.2, 0.7, 1.2, 1.7, 9.0)]
    assert all(a - b > 12 for a, b in itertools.pairwise(shades[1:]))
    assert colour(-1.0) != colour(0.2)


def test_the_command(fedrisk, series, tmp_path):
    code, out, err = fedrisk("fragility", series, "--out", tmp_path / "out")
    assert code == 0
    assert "the most fragile of them is c07 · trade" in out
    assert "say less than their noise" in err
    table = list(csv.DictReader((tmp_path / "out" / "fragility.csv").open(encoding="utf-8")))
    assert len(table) == 2 * len(quarters.CELLS)
    assert len(pd.read_parquet(tmp_path / "out" / "fragility.parquet")) == len(table)
    assert (tmp_path / "out" / "fragility.html").is_file()
    code, out, _ = fedrisk("fragility", series, "--json")
    said = json.loads(out)
    assert code == 0
    assert said["cells"][0]["county"] == "c07"
    assert said["cells"][0]["drivers"][0]["points"] > 0


def test_the_command_names_what_is_wrong(fedrisk, series, tmp_path):
    text = series.read_text()
    file = series.parent / "other.toml"
    file.write_text(text.replace('measure = "load"', 'measure = "lode"'))
    code, _, err = fedrisk("fragility", file)
    assert code != 0
    assert "no record has lode by county and sector" in err
    file.write_text(text.replace('records = ["q0"]', 'records = ["q9"]'))
    code, _, err = fedrisk("fragility", file)
    assert code != 0
    assert "q9" in err
    broken = series.parent / "q1" / "release_record.npz"
    content = broken.read_bytes()
    broken.write_bytes(content[:-200])
    assert fedrisk("fragility", series)[0] != 0
    broken.write_bytes(content)
