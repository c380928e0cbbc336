"""Encoder columns of enterprises that are looked up are, bit for bit, those of a study's table."""

import numpy as np
import pandas as pd
import pytest

from fedrisk.errors import AwayError
from fedrisk.institution import Institution
from fedrisk.models.trainable import TrainedModel
from fedrisk.serving import encoder_rows, file_rows
from support.current_data import opened, values

en = pytest.importorskip("fedrisk.models.encoder", reason="needs PyTorch")

MONTHS, N = 18, 400


@pytest.fixture
def power(tmp_path):
    """A holder with an encoder over two series, with gaps, and enterprises without any history."""
    rng = np.random.default_rng(3)
    ids = [f"E{k:04d}" for k in range(N)]
    pd.DataFrame({"id": ids, "x": rng.random(N)}).to_parquet(tmp_path / "t.parquet")
    months = {
        f"{s}_m{m:02d}": np.where(rng.random(N) < 0.1, np.nan, np.exp(rng.normal(3, 1, N)))
        for s in ("load", "peak")
        for m in range(1, MONTHS + 1)
    }
    histories = pd.DataFrame({"id": ids, **months}).sample(frac=0.9, random_state=1)
    histories.to_parquet(tmp_path / "h.parquet")
    rule = {
        "name": "load",
        "months": MONTHS,
        "outputs": 6,
        "series": [{"name": s, "low": 0, "high": 500} for s in ("load", "peak")],
        "histories": {"source": "h.parquet"},
    }
    column = {"name": "x", "kind": "number", "meaning": "m", "low": 0, "high": 1}
    return Institution(
        name="power",
        kind="holder",
        table={"source": "t.parquet"},
        dictionary={"id": "id", "id_scheme": "opaque", "columns": [column]},
        encoders=[rule],
        store=str(tmp_path / "store"),
        folder=tmp_path,
    )


def trained(institution, seed):
    design = en.EncoderDesign.from_dict(institution.encoder_design("load"))
    about = {"study": "s", "digest": "d", "mu": 0.1, "delta": 1e-6, "research": False}
    weights = en.initial_weights(design, seed)
    institution.installed.save("load", TrainedModel(weights, design.to_dict(), about))


def test_encoder_columns_are_those_of_a_study(power, tmp_path):
    trained(power, 1)
    table, data = power.read(), opened(power, tmp_path)
    order = np.random.default_rng(0).permutation(N)
    got = data.rows([*table.ids[order], "unknown"])
    assert list(got.frame) == ["x", *(f"load_{k}" for k in range(1, 7))]
    expected = table.frame.iloc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(got.frame.iloc[:-1], expected, check_exact=True)
    assert got.frame.iloc[-1].isna().all()
    without = expected["load_1"].isna()
    assert 0 < without.sum() < N / 2 and got.known[:-1].all()
    for k in order[:20]:
        assert str(values(data.rows([table.ids[k]]).frame)) == str(values(table.frame.iloc[[k]]))


def test_an_encoder_is_there_once_it_is_trained_and_as_it_was_trained_last(power, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder_rows, "LOOK_SECONDS", 0.0)
    data = opened(power, tmp_path)
    assert list(data.rows(["E0001"]).frame) == ["x"]
    assert data.encoders() == {"load": None}
    seen = set()
    for seed in (1, 2):
        trained(power, seed)
        table = power.read()
        model = power.installed.load("load")
        assert model is not None and data.encoders() == {"load": model.digest()}
        seen.add(model.digest())
        pd.testing.assert_frame_equal(data.rows(list(table.ids)).frame, table.frame, check_exact=True)
    assert len(seen) == 2


def test_histories_that_are_away_are_no_missing_histories(power, tmp_path, monkeypatch):
    monkeypatch.setattr(file_rows, "LOOK_SECONDS", 0.0)
    trained(power, 1)
    (tmp_path / "h.parquet").rename(tmp_path / "gone")
    data = opened(power, tmp_path)
    with pytest.raises(AwayError):
        data.rows(["E0001"])
    (tmp_path / "gone").rename(tmp_path / "h.parquet")
    with pytest.raises(AwayError):
        data.rows(["E0001"])
    assert data.rows(["E0001"]).frame["x"].notna().all()


@pytest.mark.parametrize("sizes", [[1] * 10, [3, 7], [2, 8]])
def test_an_encoding_does_not_depend_on_who_else_is_encoded(sizes):
    rng = np.random.default_rng(5)
    design = en.EncoderDesign(series=3, outputs=8)
    weights = en.initial_weights(design, 4)
    histories = rng.random((600, 18, 3)).astype(np.float32)
    histories[rng.random(histories.shape) < 0.2] = np.nan
    whole = en.encode(design, weights, histories)
    start = 290
    for size in sizes:
        part = en.encode(design, weights, histories[start : start + size])
        assert (part == whole[start : start + size]).all()
        start += size
