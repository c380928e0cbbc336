"""Rows that are looked up one by one are those that a study reads, from every kind of file and spelling."""

import numpy as np
import pandas as pd
import pytest

from fedrisk.serving.drift import read_drift
from support.current_data import (
    DICTIONARY,
    institution,
    opened,
    random_rows,
    replaced,
    same_as_in_a_study,
    values,
    written,
)


@pytest.mark.parametrize("kind", ["csv", "comma", "parquet", "sqlite"])
@pytest.mark.parametrize("seed", range(4))
def test_rows_are_those_of_a_study(tmp_path, kind, seed):
    frame = random_rows(seed)
    found = institution(tmp_path, written(kind, frame, tmp_path))
    table = same_as_in_a_study(found, opened(found, tmp_path))
    assert len(table) == len(frame) and table.frame["amount"].isin([-1000001, 1000000.5]).any()


@pytest.mark.parametrize(
    "more", [{"only": {"place": ["4403", "3100"]}}, {"part": {"number": 2, "of": 3}}, {"skip_rows": 2}]
)
def test_rows_that_are_left_out_are_not_known(tmp_path, more):
    frame = random_rows(3, 60)
    frame["place"] = np.where(np.arange(60) % 2, "4403", "5101")
    table = written("csv", frame, tmp_path)
    if "skip_rows" in more:
        text = (tmp_path / "t.csv").read_text()
        (tmp_path / "t.csv").write_text(f"a title\nand another\n{text}")
    found = institution(tmp_path, {**table, **more})
    data = opened(found, tmp_path)
    read = same_as_in_a_study(found, data)
    got = data.rows(frame["id"].tolist())
    assert got.known.tolist() == frame["id"].isin(read.ids).tolist()
    assert got.frame[~got.known].isna().all(axis=None)


def test_rows_of_test_data_are_known_by_their_number(tmp_path):
    frame = random_rows(4)
    table = {**written("csv", frame, tmp_path), "only": {"own": "9"}}
    found = institution(tmp_path, table, {**DICTIONARY, "id": "@row", "id_scheme": "opaque"})
    assert len(same_as_in_a_study(found, opened(found, tmp_path))) == (frame["own"] == "9").sum()


def test_ids_are_taken_in_any_spelling_and_refused_by_their_form(tmp_path):
    frame = random_rows(1)
    ids = frame["id"].tolist()
    frame["id"] = [f" {i.lower()} " if k % 2 else i for k, i in enumerate(ids)]
    found = institution(tmp_path, written("csv", frame, tmp_path))
    data = opened(found, tmp_path)
    wide = "".join(chr(ord(c) + 0xFEE0) for c in ids[1])
    asked = [
        ids[0].lower(),
        f"{ids[1][:9]} {ids[1][9:]}",
        wide,
        f"\ufeff{ids[3]}",
        ids[0][:-1],
        "",
        "\0",
        ids[0],
    ]
    got = data.rows(asked)
    assert got.known.tolist() == [True] * 4 + [False] * 3 + [True]
    assert got.malformed.tolist() == [False] * 4 + [True] * 3 + [False]
    assert values(got.frame.iloc[[1]]) == values(got.frame.iloc[[2]])
    unknown = data.rows([random_rows(9, 400)["id"].iloc[-1], None])
    assert unknown.known.tolist() == [False, False] and unknown.malformed.tolist() == [False, True]
    assert np.isnat(unknown.day).all() and len(data.rows([]).frame) == 0


def test_an_id_of_several_rows_is_not_known(tmp_path):
    frame = random_rows(2)
    ids = frame["id"].tolist()
    twice = pd.concat([frame, frame.iloc[[5]].assign(id=ids[5].lower())])
    data = opened(institution(tmp_path, written("parquet", twice, tmp_path)), tmp_path)
    got = data.rows(ids)
    assert got.known.tolist() == [k != 5 for k in range(len(ids))]
    data.close()
    assert read_drift(tmp_path / "serving").total["id"] == {"repeated": 1}


def test_what_a_dictionary_would_refuse_is_answered_by_rule_and_counted(tmp_path):
    frame = random_rows(2)
    found = institution(tmp_path, written("csv", frame, tmp_path))
    frame["Amount (yuan)"] = ["2e6", "-2e6", "junk", "inf", *["5"] * (len(frame) - 4)]
    frame["sector"] = ["new", "other", *["01"] * (len(frame) - 2)]
    frame["own"], frame["place"] = ["maybe", *["1"] * (len(frame) - 1)], "4403"
    replaced(frame.drop(columns="share"), tmp_path / "t.csv")
    data = opened(found, tmp_path)
    got = data.rows(frame["id"].tolist()).frame
    assert got["amount"].iloc[:2].tolist() == [1e6, -1e6]
    assert got["amount"].iloc[2:4].isna().all() and got["amount"].iloc[4] == 5
    assert got["sector"].iloc[:2].isna().all() and got["sector"].iloc[2] == "01"
    assert np.isnan(got["own"].iloc[0]) and got["own"].iloc[1] == 1
    assert got["share"].isna().all()
    data.rows(frame["id"].tolist()[:1])
    data.close()
    drift = read_drift(tmp_path / "serving")
    assert drift.total_asked == len(frame) + 1 and list(drift.asked.values()) == [len(frame) + 1]
    assert (
        drift.total
        == next(iter(drift.days.values()))
        == {
            "amount": {"outside": 3, "unreadable": 2},
            "sector": {"unlisted": 3},
            "own": {"unreadable": 2},
            "share": {"gone": len(frame) + 1},
        }
    )
