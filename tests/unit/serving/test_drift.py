"""Counts of what was answered by rule: by day, over restarts and processes, told to the log without values."""

import json
import logging
import threading
from datetime import date, timedelta

import numpy as np
import pytest

from fedrisk.data.features import Feature
from fedrisk.errors import StoreError
from fedrisk.models.binning import Bins
from fedrisk.serving import drift
from fedrisk.serving.drift import KEPT_DAYS, Counters, Drift, key_of, read_drift
from support.current_data import institution, opened, random_rows, written


@pytest.fixture
def day(monkeypatch):
    """A day that tests move on."""
    now = [date(2026, 11, 26)]
    monkeypatch.setattr(drift, "_today", lambda: now[0])
    return now


def test_counts_add_up_over_processes_and_days(tmp_path, day):
    one, other = Counters(tmp_path), Counters(tmp_path)
    one.note(3, {"a": {"outside": 2, "gone": 0}, "b": {"gone": 0}})
    other.note(4, {"a": {"outside": 1, "unlisted": 1}})
    one.note_bins({"a@1": [1, 2]})
    other.note_bins({"a@1": [5, 0]})
    one.write()
    other.write()
    day[0] += timedelta(days=1)
    one.note(1, {"a": {"outside": 1}})
    one.write()
    found = read_drift(tmp_path)
    assert found.since == date(2026, 11, 26) and found.total_asked == 8
    assert list(found.asked.values()) == [7, 1]
    assert list(found.days.values()) == [{"a": {"outside": 3, "unlisted": 1}}, {"a": {"outside": 1}}]
    assert found.total == {"a": {"outside": 4, "unlisted": 1}}
    assert found.bins == {"2026-11": {"a@1": [6, 2]}}
    assert (tmp_path / "drift.json").stat().st_mode & 0o777 == 0o600


def test_old_days_and_months_are_forgotten_and_the_total_stays(tmp_path, day):
    counters = Counters(tmp_path)
    for _ in range(450):
        counters.note(1, {"a": {"outside": 1}})
        counters.note_bins({"a@1": [1]})
        counters.write()
        day[0] += timedelta(days=1)
    found = read_drift(tmp_path)
    assert len(found.days) == len(found.asked) == KEPT_DAYS and max(found.days) == day[0] - timedelta(days=1)
    assert found.total_asked == 450 == found.total["a"]["outside"]
    assert min(found.bins) == "2027-02" and max(found.bins) == "2028-02" and len(found.bins) == 13


def test_threads_lose_no_count(tmp_path):
    counters = Counters(tmp_path)

    def count():
        for k in range(100):
            counters.note(1, {"a": {"outside": 1}})
            if k % 10 == 0:
                counters.write()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    counters.write()
    assert read_drift(tmp_path).total == {"a": {"outside": 400}}


def test_a_disk_that_takes_nothing_loses_no_count(tmp_path, monkeypatch):
    counters = Counters(tmp_path)
    counters.note(1, {"a": {"outside": 1}})

    def full(*_):
        raise StoreError("full")

    with monkeypatch.context() as now:
        now.setattr(drift, "write_atomic", full)
        counters.write()
        counters.note(1, {"a": {"outside": 1}})
        counters.write()
    counters.write()
    assert read_drift(tmp_path).total == {"a": {"outside": 2}}


def test_a_damaged_file_is_said_to_be_and_counts_begin_anew(tmp_path):
    (tmp_path / "drift.json").write_text('{"format": 1, "since": "x"}')
    with pytest.raises(StoreError, match="counts begin anew"):
        read_drift(tmp_path)
    counters = Counters(tmp_path)
    counters.note(2, {})
    counters.write()
    assert read_drift(tmp_path).total_asked == 2


def test_each_kind_is_told_once_a_day_by_the_columns_name(tmp_path, day, caplog):
    counters = Counters(tmp_path)
    with caplog.at_level(logging.WARNING, "fedrisk.serving"):
        for _ in range(3):
            counters.note(5, {"sales": {"outside": 2, "unreadable": 1}})
        day[0] += timedelta(days=1)
        counters.note(5, {"sales": {"outside": 4}})
    told = [(r.column, r.code, r.rows) for r in caplog.records]
    assert told == [("sales", "outside", 2), ("sales", "unreadable", 1), ("sales", "outside", 4)]


def test_no_file_holds_an_id_or_a_value(tmp_path):
    frame = random_rows(3)
    frame["sector"] = "a new sector"
    data = opened(institution(tmp_path, written("csv", frame, tmp_path)), tmp_path)
    data.rows(frame["id"].tolist())
    data.close()
    text = (tmp_path / "serving" / "drift.json").read_text()
    assert json.loads(text)["total"]["sector"] == {"unlisted": 40}
    assert "a new sector" not in text and not any(i in text for i in frame["id"])


def feature(column="share", **more):
    return Feature(institution="tax", column=column, **{"low": 0, "high": 1, **more})


BINS = [
    Bins(feature(), edges=(0.5,), unknown=True),
    Bins(feature("own", kind="flag", low=None, high=None, missing=False), edges=(0.5,), unknown=True),
    Bins(Feature(institution="tax", column="(known)", kind="known", missing=False), unknown=True),
]


def test_codes_of_a_model_and_how_often_each_was_asked_for(tmp_path):
    frame = random_rows(3, 6)
    frame["share"] = [0.25, 0.75, None, 0.25, 0.25, 0.25]
    frame["own"] = ["1", "0", "1", None, "1", "1"]
    data = opened(institution(tmp_path, written("csv", frame, tmp_path)), tmp_path)
    found = data.rows([*frame["id"].tolist(), random_rows(8, 200)["id"].iloc[-1], "malformed"])
    fresh = np.array([True] * 5 + [False] + [True] * 2)
    codes, usable = found.codes(BINS, found.known & fresh)
    assert usable.tolist() == [True, True, True, False, True, False, False, False]
    gone = [3, 2, 1]
    assert codes.tolist() == [[0, 1, 0], [1, 0, 0], [2, 1, 0], gone, [0, 1, 0], gone, gone, gone]
    data.close()
    counted = read_drift(tmp_path / "serving")
    assert counted.total["own"] == {"lacking": 1}
    (month,) = counted.bins.values()
    # Whoever writes an id wrong asks about nobody.
    assert [month[key_of(b)] for b in BINS] == [[2, 1, 1, 3], [1, 3, 3], [4, 3]]


def test_a_column_that_the_dictionary_no_longer_has_is_missing(tmp_path):
    frame = random_rows(3, 6)
    data = opened(institution(tmp_path, written("csv", frame, tmp_path)), tmp_path)
    found = data.rows(frame["id"].tolist())
    bins = [Bins(feature("gone"), edges=(0.5,), unknown=True)]
    codes, usable = found.codes(bins, found.known)
    assert usable.all() and (codes == 2).all()
    bins = [Bins(feature("gone", missing=False), edges=(0.5,), unknown=True)]
    codes, usable = found.codes(bins, found.known)
    assert not usable.any() and (codes == 2).all()


def test_what_is_counted_survives_its_file(tmp_path):
    counters = Counters(tmp_path)
    counters.note(3, {"a": {"outside": 2}})
    counters.note_bins({"a@1": [1, 2]})
    counters.write()
    found = read_drift(tmp_path)
    assert Drift.model_validate_json(found.model_dump_json()) == found
