"""A file that changes while rows of it are looked up: what is taken of it, and when."""

import os
import threading
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from fedrisk.errors import AwayError
from fedrisk.serving import file_rows
from fedrisk.serving.drift import read_drift
from support.current_data import DICTIONARY, institution, opened, random_rows, replaced, written


@pytest.fixture(autouse=True)
def looked_at_always(monkeypatch):
    """The file is looked at for every question."""
    monkeypatch.setattr(file_rows, "LOOK_SECONDS", 0.0)


@pytest.fixture
def table(tmp_path):
    """A CSV with all shares 0.25, its institution and its ids."""
    frame = random_rows(1, 60).assign(share=0.25)
    return institution(tmp_path, written("csv", frame, tmp_path)), frame, tmp_path / "t.csv"


def shares(data, frame):
    """The share of all rows, NaN where none is known."""
    found = data.rows(frame["id"].tolist()).frame["share"]
    assert found.nunique() <= 1
    return found.iloc[0]


def settled(data, frame):
    """Ask until a change of the file was seen twice, and its index is built."""
    for _ in range(2):
        data.rows(frame["id"].tolist())
    data._rows.wait()
    return shares(data, frame)


def broken(folder):
    drift = read_drift(folder / "serving")
    return 0 if drift is None else drift.total.get("table", {}).get("broken", 0)


def test_a_file_that_is_replaced_is_taken_and_the_old_one_serves_until_then(table, tmp_path):
    found, frame, file = table
    data = opened(found, tmp_path)
    assert shares(data, frame) == 0.25
    replaced(frame.assign(share=0.75), file)
    assert shares(data, frame) == 0.25
    assert settled(data, frame) == 0.75
    assert len(list((tmp_path / "serving" / "index").iterdir())) == 1


def test_every_answer_is_of_one_state_of_the_file(table, tmp_path):
    found, frame, file = table
    data, stop, seen = opened(found, tmp_path), threading.Event(), set()

    def ask():
        while not stop.is_set():
            seen.add(shares(data, frame))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for t in threads:
        t.start()
    for k in range(1, 5):
        replaced(frame.assign(share=k / 8), file)
        until = time.monotonic() + 20
        while k / 8 not in seen and time.monotonic() < until:
            time.sleep(0.01)
    stop.set()
    for t in threads:
        t.join()
    data.close()
    assert {0.125, 0.25, 0.375, 0.5} <= seen <= {0.125, 0.25, 0.375, 0.5}


def half(file, frame):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2 + 7])


def without_ids(file, frame):
    replaced(frame.assign(id=["x", *frame["id"][1:]]), file)


@pytest.mark.parametrize(
    "harm",
    [
        half,
        without_ids,
        lambda file, frame: replaced(frame.drop(columns="id"), file),
        lambda file, frame: replaced(frame.iloc[:0], file),
        lambda file, frame: replaced(frame.iloc[:20], file),
        lambda file, frame: file.write_bytes(os.urandom(5000)),
    ],
)
def test_a_file_that_is_broken_is_not_taken_and_counted(table, tmp_path, harm):
    found, frame, file = table
    data = opened(found, tmp_path)
    harm(file, frame)
    assert settled(data, frame) == settled(data, frame) == 0.25
    data.close()
    assert broken(tmp_path) == 1
    replaced(frame.assign(share=0.5), file)
    data = opened(found, tmp_path)
    assert shares(data, frame) == 0.5


def test_a_file_that_lost_most_rows_is_taken_once_it_rests(table, tmp_path):
    found, frame, file = table
    data = opened(found, tmp_path)
    replaced(frame.iloc[:20].assign(share=0.5), file)
    long_ago = time.time() - 3600
    os.utime(file, (long_ago, long_ago))
    for _ in range(2):
        data.rows(["x"])
    data._rows.wait()
    assert data.rows(frame["id"].tolist()).known.tolist() == [True] * 20 + [False] * 40


def test_a_file_that_changes_while_it_is_read_is_not_taken(table, tmp_path, monkeypatch):
    found, frame, file = table
    data, build = opened(found, tmp_path), file_rows.build

    def while_written(*parts):
        out = build(*parts)
        with file.open("a") as more:
            more.write("\n")
        return out

    monkeypatch.setattr(file_rows, "build", while_written)
    replaced(frame.assign(share=0.5), file)
    assert settled(data, frame) == 0.25
    monkeypatch.setattr(file_rows, "build", build)
    assert settled(data, frame) == 0.5


def test_a_file_that_is_gone_is_served_as_it_was(table, tmp_path):
    found, frame, file = table
    data = opened(found, tmp_path)
    file.unlink()
    assert settled(data, frame) == 0.25
    assert shares(opened(found, tmp_path), frame) == 0.25


def test_a_restart_maps_the_index_and_reads_no_table(table, tmp_path, monkeypatch):
    found, frame, _ = table
    opened(found, tmp_path)
    monkeypatch.setattr(file_rows, "build", None)
    assert shares(opened(found, tmp_path), frame) == 0.25


def test_a_damaged_index_is_built_again(table, tmp_path):
    found, frame, _ = table
    opened(found, tmp_path)
    (index,) = (tmp_path / "serving" / "index").iterdir()
    for file in sorted(index.iterdir()):
        file.write_bytes(file.read_bytes()[:-3])
        assert shares(opened(found, tmp_path), frame) == 0.25


def test_another_dictionary_has_an_index_of_its_own(table, tmp_path):
    found, frame, _ = table
    opened(found, tmp_path)
    columns = [{**c, "high": 0.125} if c["name"] == "share" else c for c in DICTIONARY["columns"]]
    other = institution(tmp_path, found.table, {**DICTIONARY, "columns": columns})
    assert shares(opened(other, tmp_path), frame) == 0.125


def test_no_id_stands_in_an_index_and_nobody_else_reads_it(table, tmp_path):
    found, frame, _ = table
    opened(found, tmp_path)
    assert (tmp_path / "serving").stat().st_mode & 0o777 == 0o700
    files = [p for p in (tmp_path / "serving" / "index").rglob("*") if p.is_file()]
    assert len(files) > 5
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        assert not any(i.encode() in file.read_bytes() for i in frame["id"])


def test_a_table_that_was_never_there_is_away(table, tmp_path):
    found, frame, file = table
    text = file.read_bytes()
    file.unlink()
    data = opened(found, tmp_path)
    with pytest.raises(AwayError, match="not there"):
        data.rows(frame["id"].tolist())
    file.write_bytes(text)
    with pytest.raises(AwayError):
        data.rows(frame["id"].tolist())
    assert shares(data, frame) == 0.25


def test_a_table_that_a_study_would_refuse_is_said_to_be(table, tmp_path):
    found, frame, file = table
    without_ids(file, frame)
    data = opened(found, tmp_path)
    with pytest.raises(AwayError, match="1 of 60 rows have no usable id") as error:
        data.rows(frame["id"].tolist())
    assert frame["id"].iloc[1] not in str(error.value)


def test_the_day_of_the_file_stands_for_its_rows(table, tmp_path):
    found, frame, file = table
    day = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    os.utime(file, (day, day))
    got = opened(found, tmp_path).rows([frame["id"].iloc[0], "x"])
    assert got.day[0] == np.datetime64("2026-03-01") and np.isnat(got.day[1])


def test_days_of_rows_in_a_column(tmp_path):
    days = [
        "2026-01-31",
        "20260131",
        "2026/1/31 10:30",
        None,
        "31/01/2026",
        "1900-01-01",
        *["2026-01-30"] * 34,
    ]
    frame = random_rows(2).assign(seen=days)
    dated = {"name": "day", "source": "seen", "kind": "date", "meaning": "m", "feature": False}
    dictionary = {
        **DICTIONARY,
        "columns": [*DICTIONARY["columns"], {**dated, "missing_values": ["1900-01-01"]}],
    }
    found = institution(tmp_path, {**written("csv", frame, tmp_path), "updated": "seen"}, dictionary)
    got = opened(found, tmp_path).rows(frame["id"].tolist())
    assert pd.isna(got.day).tolist() == [False] * 3 + [True] * 3 + [False] * 34
    assert got.day[:3].astype(str).tolist() == ["2026-01-31"] * 3
    replaced(frame.drop(columns="seen"), tmp_path / "t.csv")
    data = opened(found, tmp_path)
    assert np.isnat(data.rows(frame["id"].tolist()).day).all()
    data.close()
    assert read_drift(tmp_path / "serving").total["seen"] == {"undated": 3, "gone": 40}
