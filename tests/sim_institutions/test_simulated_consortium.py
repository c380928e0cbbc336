"""The simulated consortium: same seed same bytes, valid files, and calibrated difficulty."""

import hashlib
import tomllib

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from fedrisk.alignment.ids import normalise
from fedrisk.dictionary import load_dictionary
from fedrisk.table import read_table
from fedrisk.table_source import TableSource
from sim_institutions.__main__ import main
from sim_institutions.enterprises import codes, draw
from sim_institutions.files import write

NAMES = ("bank", "tax_office", "power_utility")
N = 40_000


@pytest.fixture(scope="module")
def consortium(tmp_path_factory):
    out = tmp_path_factory.mktemp("sim")
    write(N, 7, out)
    tables = {}
    for name in NAMES:
        file = out / "institutions" / f"{name}.toml"
        source = TableSource(**tomllib.loads(file.read_text(encoding="utf-8"))["table"])
        tables[name] = read_table(source, load_dictionary(file), base=file.parent)
    return out, tables


@pytest.fixture(scope="module")
def joined(consortium):
    def numeric(table):
        frame = table.frame.assign(
            **{c: pd.factorize(table.frame[c])[0] for c in table.frame.columns.intersection(["sector"])}
        )
        return frame.astype(float).set_index(table.ids)

    _, tables = consortium
    bank = numeric(tables["bank"])
    return bank.join([numeric(tables[n]) for n in NAMES[1:]]), list(bank), tables["bank"].label


def digests(folder):
    return {
        p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*.*"))
    }


def test_same_seed_same_bytes(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        main(["--enterprises", "1000", "--seed", str(seed), "--out", str(tmp_path / name)])
    a, b, c = (digests(tmp_path / name) for name in "abc")
    assert len(a) == 7
    assert a == b
    assert all(a[p] != c[p] for p in a if p.suffix == ".parquet")


def test_codes_are_valid_and_different():
    ids = codes(20_000, 1)
    normal, refused = normalise(ids, "uscc")
    assert not refused.any()
    assert normal.tolist() == ids.tolist()
    assert len(set(ids)) == len(ids)
    assert all(i.startswith("913699") for i in ids)  # a district that is not assigned


def test_the_files_agree_with_their_tables(consortium):
    out, tables = consortium
    for name, table in tables.items():
        assert not [c for c in table.checks if c.severity != "note"], name
        text = tomllib.loads((out / "institutions" / f"{name}.toml").read_text(encoding="utf-8"))
        assert text["name"] == name
        assert text["policy"]["research"] is True
    study = tomllib.loads((out / "study.toml").read_text(encoding="utf-8"))
    assert [m["name"] for m in study["institutions"]] == list(NAMES)
    assert study["alignment"]["authority"] in NAMES
    assert study["expected"]["enterprises"] == len(tables["bank"])
    assert study["privacy"]["delta"] <= 0.1 / study["expected"]["enterprises"]


def test_default_rate_and_coverage(consortium):
    _, tables = consortium
    customers = set(tables["bank"].ids)
    # Five standard deviations of a binomial of 30,000 at 5 % and at 92 %.
    assert tables["bank"].label.mean() == pytest.approx(0.05, abs=0.0065)
    for name in NAMES[1:]:
        known = set(tables[name].ids)
        assert len(known & customers) / len(customers) == pytest.approx(0.92, abs=0.008)
        assert len(known - customers) > 0.2 * len(customers)


def test_missing_values_are_few_but_there(consortium):
    _, tables = consortium
    for name, table in tables.items():
        share = table.frame.isna().mean()
        assert 0.005 < share.max() < 0.15, name
        assert (share < 0.15).all(), name


def test_no_single_column_tells_who_defaults(joined):
    features, _, label = joined
    for name in features:
        known = features[name].notna().to_numpy()
        auc = roc_auc_score(label[known], features[name][known])
        assert max(auc, 1 - auc) < 0.75, name


def test_pooling_gains(joined):
    features, own, label = joined
    train = np.random.default_rng(0).random(len(label)) < 0.7

    def auc(columns):
        model = HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.07, max_leaf_nodes=12, min_samples_leaf=60
        )
        model.fit(features.loc[train, columns], label[train])
        return roc_auc_score(label[~train], model.predict_proba(features.loc[~train, columns])[:, 1])

    alone, pooled = auc(own), auc(list(features))
    assert 0.80 <= pooled <= 0.86
    assert pooled - alone >= 0.04


def test_default_size_has_enough_defaults_for_training():
    everyone = draw(125_000, 1)
    assert 0.7 * everyone.default[everyone.customer].sum() >= 3000
