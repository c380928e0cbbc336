"""Histories: the public scale, the file's columns, their order, and what an encoder rule states."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.features import features_of
from fedrisk.data.source import TableSource
from fedrisk.data.table import read_table
from fedrisk.errors import DataError
from fedrisk.models.binning import Bins
from fedrisk.models.histories import EncoderRule, arranged, on_unit_scale, scaled
from fedrisk.models.series import Series

COLUMN = [{"name": "f", "kind": "flag", "meaning": "m"}]


def rule(**change):
    stated = {
        "name": "load",
        "histories": {"source": "h.parquet"},
        "series": [{"name": "kwh", "low": 0, "high": 8, "grid": "linear"}],
        "months": 6,
    }
    return EncoderRule.model_validate({**stated, **change})


def test_a_linear_series_by_hand():
    frame = pd.DataFrame({f"kwh_m{m:02d}": [float(m), np.nan] for m in range(1, 7)})
    got = scaled(rule(), frame)
    assert got.shape == (2, 6, 1)
    assert got.dtype == np.float32
    assert got[0, :, 0].tolist() == [0.125, 0.25, 0.375, 0.5, 0.625, 0.75]
    assert np.isnan(got[1]).all()


def test_a_log_series_by_hand():
    series = Series(name="kwh", low=0, high=10_000)
    got = on_unit_scale(series, np.array([0.0, 1.0, 10_000.0]))
    assert got == pytest.approx([0.0, math.log(2) / math.log(10_001), 1.0])


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.sampled_from(["linear", "log"]),
    st.lists(st.floats(-1e7, 1e7), min_size=2, max_size=20),
)
def test_scaled_values_stay_between_0_and_1_and_keep_their_order(low, width, grid, values):
    series = Series(name="x", low=low, high=low + max(width, abs(low) * 1e-6), grid=grid)
    x = np.sort(np.array(values))
    got = on_unit_scale(series, x)
    assert got.min() >= -1e-9
    assert got.max() <= 1 + 1e-9
    assert (np.diff(got) >= -1e-9).all()


def test_rows_come_in_the_wanted_order_and_the_unknown_have_gaps():
    histories = np.arange(6, dtype=np.float32).reshape(3, 2, 1)
    ids = np.array(["a", "b", "c"], dtype=object)
    got = arranged(histories, ids, np.array(["c", "x", "a"], dtype=object))
    assert got[0].ravel().tolist() == [4, 5]
    assert np.isnan(got[1]).all()
    assert got[2].ravel().tolist() == [0, 1]


def test_two_histories_of_one_enterprise_are_refused_without_naming_it():
    with pytest.raises(DataError, match="occurs more than once") as caught:
        arranged(np.zeros((2, 2, 1), np.float32), np.array(["secret"] * 2, object), np.array(["a"], object))
    assert "secret" not in str(caught.value)


def test_outputs_are_features_with_public_bins_so_that_edges_cost_nothing():
    encoder = rule(outputs=3)
    assert encoder.columns == ("load_1", "load_2", "load_3")
    content = [c.model_dump() for c in encoder.dictionary_columns()]
    dictionary = load_dictionary({"id": "id", "columns": content})
    features = features_of(dictionary, "power")
    assert not any(f.private_edges for f in features)
    bins = Bins.public(features[0])
    codes = bins.codes(np.array([-1.0, -0.99, 0.0, 1.0, np.nan]))
    assert codes.tolist() == [0, 0, 10, bins.ordered - 1, bins.size - 1]


def test_two_outputs_per_series_by_default():
    both = [{"name": n, "low": 0, "high": 1} for n in "ab"]
    assert (rule().outputs, rule(series=both).outputs, rule(outputs=1).outputs) == (2, 4, 1)


def test_holders_agree_on_what_shapes_an_encoder_and_not_on_paths():
    assert rule().public_digest() == rule(histories={"source": "other.csv"}, name="other").public_digest()
    assert rule().public_digest() != rule(months=7).public_digest()
    wider = [{"name": "kwh", "low": 0, "high": 9, "grid": "linear"}]
    assert rule().public_digest() != rule(series=wider).public_digest()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"series": []}, "at least 1 item"),
        ({"series": [{"name": "a", "low": 2, "high": 1}]}, "must be below high"),
        ({"series": [{"name": "a", "low": 0, "high": 1}] * 2}, "listed twice"),
        ({"months": 3}, "greater than or equal to 6"),
        ({"histories": {"source": "sqlite:///x", "query": "SELECT 1"}}, "parquet or .csv file"),
        ({"oops": 1}, "Extra inputs"),
    ],
)
def test_broken_rules(change, says):
    with pytest.raises(ValidationError, match=says):
        rule(**change)


def test_codes_of_gaps_are_the_holders_own_and_no_numbers(tmp_path):
    coded = rule(series=[{"name": "kwh", "low": 0, "high": 8, "grid": "linear", "missing_values": [-9, "x"]}])
    assert coded.public_digest() == rule().public_digest()
    dictionary = coded.file_dictionary(
        load_dictionary({"id": "id", "id_scheme": "opaque", "columns": COLUMN})
    )
    months = [f"kwh_m{m:02d}" for m in range(1, 7)]
    pd.DataFrame({"id": ["a"]} | {m: ["-9.0" if m == months[2] else "4"] for m in months}).to_csv(
        tmp_path / "h.csv", index=False
    )
    table = read_table(TableSource(source="h.csv"), dictionary, base=tmp_path)
    got = scaled(coded, table.frame)[0, :, 0]
    assert np.isnan(got[2])
    assert np.delete(got, 2).tolist() == [0.5] * 5
