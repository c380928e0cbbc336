"""Columns from histories of enterprises that are looked up are, bit for bit, those of a study's table."""

import os
import sqlite3
from datetime import date

import numpy as np
import pandas as pd
import pytest

from fedrisk.data.history_kinds import KINDS
from fedrisk.errors import AwayError, DataError
from fedrisk.institution import Institution
from fedrisk.serving import file_rows
from support.current_data import opened

N, MONTHS = 300, 18
DAY = pd.Timestamp("2026-05-31")


def months_of(seed, months, n=N):
    """Histories of two series with gaps, some enterprises without any month."""
    g = np.random.default_rng(seed)
    x = np.exp(g.normal(3, 1, (2, n, months)))
    x[g.random(x.shape) < 0.15] = np.nan
    x[:, g.random(n) < 0.05] = np.nan
    return {f"{s}_m{m + 1:02d}": x[k, :, m] for k, s in enumerate(("load", "peak")) for m in range(months)}


def frame_of(ids, seed=1, months=MONTHS):
    return pd.DataFrame({"id": ids, "as_of": DAY, **months_of(seed, months, len(ids))})


IDS = [f"E{k:04d}" for k in range(N)]
COLUMNS = [{"name": f"{s}_{kind}", "history": s, "kind": kind} for s in ("load", "peak") for kind in KINDS]
SERIES = [{"name": s, "low": 0, "high": 500} for s in ("load", "peak")]


def power(folder, histories=None, columns=COLUMNS, **more):
    """A holder with every kind of column from two series; nine tenths of its enterprises have a history."""
    pd.DataFrame({"id": IDS, "x": np.linspace(0, 1, N)}).to_parquet(folder / "t.parquet")
    file = folder / "h.parquet"
    if not file.exists():
        frame_of(IDS).sample(frac=0.9, random_state=1).to_parquet(file)
    stated = {"source": "h.parquet", "months": MONTHS, "series": SERIES, "ends_column": "as_of"}
    column = {"name": "x", "kind": "number", "meaning": "m", "low": 0, "high": 1}
    return Institution(
        name="power",
        kind="holder",
        table={"source": "t.parquet"},
        dictionary={"id": "id", "id_scheme": "opaque", "columns": [column, *columns]},
        histories={**stated, **(histories or {})},
        store=str(folder / "store"),
        folder=folder,
        **more,
    )


def same_as_in_a_study(institution, folder):
    table, data = institution.read(), opened(institution, folder)
    order = np.random.default_rng(0).permutation(len(table))
    got = data.rows([*table.ids[order], "unknown"])
    expected = table.frame.iloc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(got.frame.iloc[:-1], expected, check_exact=True)
    assert got.frame.iloc[-1].isna().all()
    for k in order[:7]:
        one, row = data.rows([table.ids[k]]).frame, table.frame.iloc[[k]]
        assert one.to_numpy().tobytes() == row.to_numpy().tobytes()
    data.close()
    return table


def test_every_kind_is_that_of_a_study(tmp_path):
    table = same_as_in_a_study(power(tmp_path), tmp_path)
    known = table.frame.notna().mean()
    assert (known.drop("x") < 0.95).all() and (known > 0.4).all()


SEASON = [1.3, 0.7, 0.9, 1.1] + 8 * [1.0]
SECTORS = ("farming", "trade", "unheard of", None)


def seasonal(folder, histories=None):
    """The same with a season by sector for one of the two series."""
    frame = frame_of(IDS).assign(sector=[SECTORS[k % 4] for k in range(N)])
    frame.loc[5, "as_of"] = pd.NaT
    season = {"farming": SEASON[::-1], "other": SEASON}
    series = [{**SERIES[0], "season": season}, SERIES[1]]
    frame.to_parquet(folder / "h.parquet")
    return frame, power(folder, {"series": series, "season_column": "sector", **(histories or {})})


def test_without_its_season_a_column_is_that_of_a_study(tmp_path):
    frame, institution = seasonal(tmp_path)
    found = same_as_in_a_study(institution, tmp_path).frame
    plain = power(tmp_path).read().frame
    peak = [c for c in found if not c.startswith("load")]
    pd.testing.assert_frame_equal(found[peak], plain[peak], check_exact=True)
    # By hand: the last month is a May, so months 16 to 18 are March to May.
    index = np.where(np.arange(N)[:, None] % 4 == 0, SEASON[::-1], SEASON)
    months = frame[[f"load_m{m:02d}" for m in (16, 17, 18)]].to_numpy().clip(0, 500) / index[:, [2, 3, 4]]
    enough = (~np.isnan(months)).sum(axis=1) >= 2
    enough[5] = False
    np.testing.assert_allclose(found["load_level"][enough], np.nanmean(months[enough], axis=1))
    # What the table's owner reads of groups; those of rows whose sector is not known are no flaw.
    said = {(c.column, c.rule): (c.rows, c.severity) for c in institution.read().checks}
    assert said["sector", "of a group without seasonal indices of its own"] == (N // 2, "note")
    # Whose last month nobody knows has no such column; gaps count months, and have no season.
    assert np.isnan(found["load_level"][5]) and found["load_gaps"].equals(plain["load_gaps"])


def test_a_group_that_no_row_has_is_told_to_the_owner(tmp_path):
    frame, institution = seasonal(tmp_path)
    frame.assign(sector=frame["sector"].replace("farming", "Farming")).to_parquet(tmp_path / "h.parquet")
    (found,) = [c for c in institution.read().checks if c.severity == "warning"]
    assert found.rule == "no row is of the group farming, which has seasonal indices of its own"


def test_a_season_from_a_database(tmp_path):
    frame, institution = seasonal(tmp_path, {"source": "sqlite:///h.sqlite", "query": "SELECT * FROM h"})
    with sqlite3.connect(tmp_path / "h.sqlite") as connection:
        frame.assign(as_of=frame["as_of"].dt.strftime("%Y-%m-%d")).to_sql("h", connection)
    connection.close()
    same_as_in_a_study(institution, tmp_path)


def test_a_column_of_groups_that_is_not_there_is_named(tmp_path):
    frame, institution = seasonal(tmp_path)
    frame.drop(columns="sector").to_parquet(tmp_path / "h.parquet")
    with pytest.raises(DataError, match="sector: column is not in the file of histories"):
        institution.read()


def test_from_a_csv_with_more_months_than_count(tmp_path):
    """The last months count, whatever they are called; a month that is appended is the newest."""
    institution = power(tmp_path, {"source": "h.csv"})
    longer = frame_of(IDS, months=24)
    longer.to_csv(tmp_path / "h.csv", index=False)
    table = same_as_in_a_study(institution, tmp_path)
    last = {f"{s}_m{m:02d}": longer[f"{s}_m{m + 6:02d}"] for s in ("load", "peak") for m in range(1, 19)}
    pd.DataFrame({"id": IDS, "as_of": DAY, **last}).to_csv(tmp_path / "h.csv", index=False)
    pd.testing.assert_frame_equal(institution.read().frame, table.frame, check_exact=True)


def test_from_a_database(tmp_path):
    institution = power(tmp_path, {"source": "sqlite:///h.sqlite", "query": "SELECT * FROM h"})
    with sqlite3.connect(tmp_path / "h.sqlite") as connection:
        frame_of(IDS).assign(as_of="2026-05-31").sample(frac=0.8, random_state=2).to_sql("h", connection)
    connection.close()
    same_as_in_a_study(institution, tmp_path)


def put(frame, file):
    frame.to_parquet(file.with_suffix(".new"))
    os.replace(file.with_suffix(".new"), file)


def test_a_file_that_is_replaced_is_taken_and_one_that_is_killed_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(file_rows, "LOOK_SECONDS", 0.0)
    institution = power(tmp_path)
    data, file = opened(institution, tmp_path), tmp_path / "h.parquet"
    before = institution.read().frame
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    for _ in range(3):
        pd.testing.assert_frame_equal(data.rows(IDS).frame, before, check_exact=True)
        data.close()
    put(frame_of(IDS, seed=9), file)
    for _ in range(3):
        data.rows(IDS)
        data.close()
    after = institution.read().frame
    assert not after.equals(before)
    pd.testing.assert_frame_equal(data.rows(IDS).frame, after, check_exact=True)


def test_histories_that_are_away_are_no_missing_histories(tmp_path):
    institution = power(tmp_path)
    (tmp_path / "h.parquet").unlink()
    data = opened(institution, tmp_path)
    with pytest.raises(AwayError):
        data.rows(IDS[:1])


def test_an_old_history_makes_a_row_old_for_models_that_use_it(tmp_path):
    frame = frame_of(IDS)
    frame["as_of"] = pd.Series([DAY] * (N - 2) + [pd.Timestamp("2026-01-31"), pd.NaT])
    frame.iloc[1:].to_parquet(tmp_path / "h.parquet")
    institution = power(tmp_path, {"updated": "as_of"})
    os.utime(tmp_path / "t.parquet", (pd.Timestamp("2026-06-10").timestamp(),) * 2)
    found = opened(institution, tmp_path).rows([IDS[0], IDS[1], IDS[-2], IDS[-1]])
    today = date(2026, 6, 20)
    assert found.usable(today, 31).all()
    assert found.used_for(["x"]).usable(today, 31).all()
    # The first has no history at all, which is known as of the table's day.
    assert found.used_for(["x", "load_fall"]).usable(today, 31).tolist() == [True, True, False, False]


def test_an_encoder_may_share_the_histories(tmp_path):
    en = pytest.importorskip("fedrisk.models.encoder", reason="needs PyTorch")
    from fedrisk.models.trainable import TrainedModel

    institution = power(tmp_path, encoders=[{"name": "months", "months": 12}])
    rule = institution.installed.rule("months")
    assert (rule.months, [s.name for s in rule.series], rule.outputs) == (12, ["load", "peak"], 4)
    design = en.EncoderDesign.from_dict(institution.encoder_design("months"))
    about = {"study": "s", "digest": "d", "mu": 0.1, "delta": 1e-6, "research": False}
    institution.installed.save("months", TrainedModel(en.initial_weights(design, 1), design.to_dict(), about))
    table = same_as_in_a_study(institution, tmp_path)
    assert table.frame["months_1"].notna().mean() > 0.7
    # It reads the last twelve months, as one with a file of its own that holds no others.
    frame = pd.read_parquet(tmp_path / "h.parquet")
    last = {f"{s}_m{m:02d}": frame[f"{s}_m{m + 6:02d}"] for s in ("load", "peak") for m in range(1, 13)}
    pd.DataFrame({"id": frame["id"], **last}).to_parquet(tmp_path / "own.parquet")
    alone = {"name": "months", "months": 12, "series": SERIES, "histories": {"source": "own.parquet"}}
    own = power(tmp_path, encoders=[alone])
    assert np.array_equal(
        own.encoder_histories("months", table.ids),
        institution.encoder_histories("months", table.ids),
        equal_nan=True,
    )


def test_a_file_that_breaks_rules_is_refused_by_a_study(tmp_path):
    frame = frame_of(IDS)
    frame.loc[:9, "load_m03"] = 1e9
    frame = frame.astype({"peak_m02": object})
    frame.loc[3, "peak_m02"] = "much"
    frame.loc[1, "id"] = IDS[0]
    frame["peak_m02"] = frame["peak_m02"].astype(str)
    frame.to_parquet(tmp_path / "h.parquet")
    with pytest.raises(DataError) as error:
        power(tmp_path).read()
    text = str(error.value)
    assert "error: peak: months that are not a number (1 rows" in text
    assert "note: load" not in text and "much" not in text
    assert "id occurs more than once among the histories (1 rows" in text


def test_a_month_that_is_not_there_is_named(tmp_path):
    frame_of(IDS).drop(columns="load_m05").to_parquet(tmp_path / "h.parquet")
    with pytest.raises(DataError, match=r"load: 1 of the last 18 months are not in the file \(load_m05\)"):
        power(tmp_path).read()
