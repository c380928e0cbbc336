"""Whole studies with special codes at banks and at a holder: bins of their own, from the table to scores and report."""

import copy
import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.errors import ConfigError
from fedrisk.models.trainable import TrainedModel
from fedrisk.report.html import render

pytestmark = pytest.mark.study

NO_NOISE = {"privacy": {"epsilon": math.inf}}
BANKS = ("alfa", "beta")
SPECIAL = {
    "debt": {"-9": "no record", "-8": "no usable debt"},  # private edges
    "late": {"12": "written off"},  # public edges; the upper bound
    "sales": {"99999999": "filed elsewhere"},  # at the holder, private edges
    "audited": {"9": "exempt"},  # a flag
}
PLACES = {"debt": (6, 7), "late": (4,), "sales": (7,), "audited": (2,)}
"""Place of each code's bin where the study has as many ordered bins as the dictionary asks for."""


@pytest.fixture(scope="module")
def tables(kit):
    """The province with codes instead of values: who has no record defaults more often."""
    tables = copy.deepcopy(kit.province(2500))
    rng = np.random.default_rng(8)
    for name, columns in {
        "alfa": ("debt", "late"),
        "beta": ("debt", "late"),
        "tax": ("sales", "audited"),
    }.items():
        table = tables[name]
        for column in columns:
            codes = [float(code) for code in SPECIAL[column]]
            drawn = rng.random(len(table))
            if name in BANKS:
                drawn /= 1 + 3 * table["bad"]
            for k, code in enumerate(codes):
                table.loc[(drawn > 0.04 * k) & (drawn <= 0.04 * (k + 1)), column] = code
    return tables


@pytest.fixture(scope="module")
def columns(kit):
    columns = copy.deepcopy(kit.COLUMNS)
    for role in ("bank", "tax"):
        for column in columns[role]:
            column |= {"special": SPECIAL[column["name"]]} if column["name"] in SPECIAL else {}
    return columns


@pytest.fixture(scope="module")
def run(kit, scratch, tables, columns):
    """A research run without noise."""
    return kit.build(scratch(), BANKS, ("tax",), tables=tables, columns=columns, study=NO_NOISE).run(
        research_seed=1
    )


def training(run, tables):
    """Training rows with the columns of banks and holder, NaN where the holder does not know the enterprise."""
    parts = []
    for bank in BANKS:
        scores = run.scores(bank).set_index("id")
        rows = tables[bank].set_index("id").loc[scores.index].join(scores)
        parts.append(rows.join(tables["tax"].set_index("id").add_prefix("tax.")).assign(bank=bank))
    return pd.concat(parts)


def feature(run, column):
    """Place of a column's feature in the card, and its first row in its role's label counts."""
    at = next(k for k, b in enumerate(run.card["bins"]) if b["column"] == column)
    role = run.card["bins"][at]["institution"]
    before = [k for k in range(at) if run.card["bins"][k]["institution"] == role]
    return at, role, sum(len(run.card["points"][k]) for k in before)


@pytest.mark.parametrize("column", SPECIAL)
def test_each_code_is_counted_in_a_bin_of_its_own(run, tables, column):
    rows = training(run, tables)
    rows = rows[rows["split"] == "training"]
    at, role, first = feature(run, column)
    values = rows[column if role == "bank" else f"tax.{column}"]
    labels = run.results.card.bins[at].labels()
    counts = run.told("counts").array(role)
    for place, (code, meaning) in zip(PLACES[column], SPECIAL[column].items(), strict=True):
        assert labels[place] == meaning
        y = rows["bad"][values == float(code)]
        assert counts[first + place].tolist() == [y.sum(), len(y) - y.sum()]
        assert len(y) > 20
    gone = rows["bad"][values.isna()]
    missing = counts[first + labels.index("missing") : first + len(labels)].sum(0)
    assert missing.tolist() == [gone.sum(), len(gone) - gone.sum()]
    everybody = counts[first : first + len(labels)].sum()
    assert everybody == len(rows)


def test_codes_are_in_no_cell_of_the_edge_histograms(run, tables):
    rows = training(run, tables)
    rows = rows[rows["split"] == "training"]
    for role, column, place in (("bank", "debt", 0), ("tax", "sales", 0)):
        x = rows[column if role == "bank" else f"tax.{column}"].dropna()
        x = x[~x.isin([float(code) for code in SPECIAL[column]])]
        cells = run.told("bins").array(role)[place]
        assert cells.sum() == len(x)
        assert cells[0] == (x <= -4.9e6).sum() if role == "tax" else cells[0] < 20
        assert cells[-1] < 20  # 99,999,999 would be there


def test_scores_and_reasons_know_the_codes(run, tables):
    for bank in BANKS:
        rows = training(run, tables)
        rows = rows[rows["bank"] == bank]
        names = {"debt": "no record", "late": "written off"}
        for column, meaning in names.items():
            code = float(next(iter(SPECIAL[column])))
            has = rows[column] == code
            named = rows["reasons"].str.contains(f"{column} ({meaning})", regex=False)
            assert named[has].mean() > 0.5  # who has it defaults more often, so it speaks against them
            assert not named[~has].any()
        own = np.zeros(len(rows), int)
        for at, b in enumerate(run.results.card.bins):
            if b.feature.institution == "bank":
                own += np.array(run.card["points"][at])[b.codes(rows[b.feature.column])]
        assert np.array_equal(rows["own_points"], own)
        assert rows["champion_probability"].between(0, 1).all()


@pytest.mark.long
def test_with_noise_and_codes_a_study_is_what_it_is_without_codes(kit, tmp_path, tables, columns):
    """Same releases, same price: codes are a few bins more, named in the report."""
    coded = kit.build(tmp_path / "c", BANKS, ("tax",), tables=tables, columns=columns).run()
    plain = kit.build(tmp_path / "p", BANKS, ("tax",), tables=kit.province(2500)).run()
    assert coded.plan.price == plain.plan.price
    assert [len(p) for p in coded.card["points"]] != [len(p) for p in plain.card["points"]]
    page = render(coded.results)
    for meaning in ("no record", "no usable debt", "written off", "filed elsewhere", "exempt"):
        assert f">{meaning}<" in page


def test_banks_that_disagree_on_codes_are_told_so(kit, tmp_path, tables, columns):
    consortium = kit.build(tmp_path, BANKS, ("tax",), tables=tables, columns=columns, study=NO_NOISE)
    words = consortium.content["beta"]["dictionary"]["columns"]
    words[0] = {**words[0], "special": {"-8": "no usable debt", "-9": "no record"}}  # another order of bins
    consortium.write("beta")
    with pytest.raises(ConfigError, match=r"alfa and beta disagree on debt; .*codes"):
        consortium.run(research_seed=1)


def test_a_network_reads_codes_as_inputs_of_their_own(kit, tmp_path, tables, columns):
    """Design, training, personal models and the exported file, which a bank checks against the trained network."""
    study = {
        "recipe": "network",
        "network": {"kind": "logistic"},
        "training": {"steps": 3},
        "expected": {"default_rate": 0.2},
    }
    policy = {"recipes": ["network"]}
    consortium = kit.build(
        tmp_path, ("alfa", "beta"), (), tables=tables, columns=columns, policy=policy, study=study
    )
    run = consortium.run(research_seed=1)
    design = {c["column"]: c for c in TrainedModel.from_bytes(run.results.network).design["columns"]}
    assert design["debt"]["special"] == [-9.0, -8.0]
    assert design["late"]["special"] == [12.0]
    assert all(edge > 0 for edge in design["debt"]["edges"])
    for bank in BANKS:
        assert (run.nodes[bank].store.results(run.attempt) / "best.onnx").exists()
