"""Plots: SVG that stands in a page by itself, with text as text, in both languages, small and always the same."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from fedrisk.analysis import curves, feature_figures
from fedrisk.analysis.score_counts import counts_of, counts_of_rows
from fedrisk.errors import ConfigError, StoreError
from fedrisk.language import speaking
from fedrisk.report import plots
from fedrisk.report.figure_style import TEXT, shortened, width_of
from fedrisk.results import Results

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def found(finished):
    results = finished["research"]
    counts = counts_of(results.record, results.card)
    return {
        "counts": counts,
        "points": feature_figures.feature_points(results.card)[0],
        "values": feature_figures.information_values(results.record),
    }


def drawn(found):
    c = found["counts"]
    roc, gains = curves.roc(c), curves.gains(c)
    return {
        "roc": plots.roc(roc, others=[("x < y & z", roc)]),
        "ks": plots.ks(curves.ks(c)),
        "gains": plots.gains(gains, others=[("own", gains)]),
        "lift": plots.lift(gains),
        "calibration": plots.calibration(curves.calibration(c)),
        "score_distribution": plots.score_distribution(curves.score_distribution(c)),
        "cutoffs": plots.cutoffs(curves.cutoffs(c)),
        "points": plots.points_of_feature(found["points"], title="<limit>"),
        "values": plots.information_values(found["values"]),
        "bars": plots.bars(
            [
                plots.Bar(label="a $x$", value=1.0, low=0.5, high=2.0, group="g"),
                plots.Bar(label="b", value=-1.0),
            ],
            alt="bars",
            axis="mu",
            marks=[(1.5, "limit")],
        ),
        "lines": plots.lines(
            [plots.Line(label="PSI", x=[1, 2], y=[0.1, 0.2], low=[0, 0.1], high=[0.2, 0.3])],
            alt="lines",
            marks=[(0.25, "shift")],
        ),
    }


@pytest.fixture(scope="module")
def english(found):
    with speaking("en"):
        return drawn(found)


def test_every_plot_stands_in_a_page(english):
    ids = []
    for name, plot in english.items():
        root = ElementTree.fromstring(
            plot.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        )
        assert root.attrib["role"] == "img" and root.attrib["aria-label"] == plot.alt, name
        assert root.find(f"{SVG}title").text == plot.alt
        assert len(plot.svg) <= 40_000, (name, len(plot.svg))
        # Text in the page's fonts, and nothing that reaches beyond the picture.
        assert root.findall(f".//{SVG}text") and "font-family" not in plot.svg
        assert not re.search(r"<style|<metadata|<script|https?://|xlink:", plot.svg), name
        own = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', plot.svg)) == set(own), name
        ids += own
    assert len(ids) == len(set(ids))


def test_a_plot_is_always_the_same(found, english):
    with speaking("en"):
        assert (
            plots.roc(curves.roc(found["counts"]), others=[("x < y & z", curves.roc(found["counts"]))])
            == english["roc"]
        )


def test_texts_are_in_the_language_that_is_spoken(found, english):
    with speaking("zh"):
        plot = plots.gains(curves.gains(found["counts"]))
    assert "本评分卡" in plot.svg and plot.alt.startswith("增益") and "This card" in english["gains"].svg


def test_long_names_are_cut_where_they_would_leave_the_picture():
    assert shortened("short", 200) == "short"
    long = shortened("经营健康度指数" * 5, 100)
    assert long.endswith("…") and width_of(long) <= 100
    assert width_of("经营") == 2 * TEXT


def test_results_draw_themselves(finished, tmp_path):
    result = Results.of(finished["private"])
    assert Results.of(result) is result and result == Results.of(finished["private"])
    with speaking("en"):
        picture = result.plot.roc()
        assert picture.alt.startswith("ROC curve. This card: AUC") and picture.axes[0].lines
        assert picture._repr_html_().startswith("<svg viewBox")
        assert picture.save(tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")
        for name in (
            "ks",
            "gains",
            "lift",
            "calibration",
            "score_distribution",
            "cutoffs",
            "information_values",
        ):
            assert getattr(result.plot, name)().alt
        first = result.card.bins[0].feature
        assert first.column in result.plot.points(first.column, first.institution).alt
        assert "<table>" in result._repr_html_() and result.study in result._repr_html_()
    with pytest.raises(ConfigError, match="no column nothing"):
        result.plot.points("nothing")
    with pytest.raises(ConfigError, match="no evaluation of west alone"):
        result.plot.roc("west")
    with pytest.raises(StoreError, match=r"cannot be written.*name a \.png"):
        picture.save(tmp_path / "roc.xyz")


def test_results_without_a_record_say_so(finished):
    bare = Results(**{**vars(finished["private"]), "record": None, "card": None})
    for plot in (bare.plot.roc, bare.plot.information_values, lambda: bare.plot.points("x")):
        with pytest.raises(ConfigError):
            plot()
    assert bare.frames.scorecard.empty and bare.frames.roc.empty and bare.frames.bins.empty
    assert list(bare.frames.cutoffs.columns[:2]) == ["cut", "approved"]


def test_tables_have_what_results_have(finished):
    for results in finished.values():
        frames = Results.of(results).frames
        card = frames.scorecard
        assert len(card) == 1 + sum(b.size for b in results.card.bins)
        assert card["points"].iloc[0] == results.card.base_points
        metrics = frames.metrics.set_index(["bank", "metric"])
        auc = metrics.loc[("", "auc")]
        assert auc["low"] <= auc["value"] <= auc["high"]
        assert auc["value"] == pytest.approx(results.auc, abs=1e-12)
        assert len(frames.spends) == len(results.spends) and len(frames.disclosures) == len(
            results.disclosures
        )
        assert len(frames.bins) == sum(b.size for b in results.card.bins if b.feature.is_column)
        assert (frames.calibration["low"] <= frames.calibration["observed"]).all()
        assert len(frames.gains) == len(frames.roc) and len(frames.cutoffs) and len(frames.information_values)


def test_distributions_of_rows_have_closed_bins():
    rng = np.random.default_rng(1)
    label = (rng.random(500) < 0.3).astype(int)
    found = curves.score_distribution(counts_of_rows(label, np.round(rng.normal(600, 20, 500)), axis="score"))
    assert plots.score_distribution(found).svg.count("<path") > 2
