"""Pages of a list: a thousand ids each, none twice, the same every time."""

import pandas as pd
import pytest

from fedrisk.errors import ConfigError, DataError
from fedrisk.serving.batch_list import ListFile, check_columns, counted, pages


def listed(tmp_path, rows, **how):
    file = tmp_path / "ids.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    return ListFile(file, "id", **how)


def test_pages_have_a_thousand_ids(tmp_path):
    file = listed(tmp_path, {"id": [f"e{k}" for k in range(2500)]})
    found = list(pages(file))
    assert [len(p.ids) for p in found] == [1000, 1000, 500]
    assert [p.number for p in found] == [0, 1, 2]
    assert found[2].written[-1] == found[2].ids[-1] == "e2499"
    count = counted(file)
    assert (count.rows, count.pages) == (2500, 3)


def test_an_id_that_comes_again_is_asked_once_with_the_same_consent(tmp_path):
    rows = {"id": ["a", "b", "a", "a"], "token": ["x", "y", "x", "z"]}
    first, second = pages(listed(tmp_path, rows, consent="token"))
    assert (first.ids, first.places, first.consents) == (["a", "b"], [0, 1, 0], ["x", "y"])
    assert (second.ids, second.places, second.consents) == (["a"], [0], ["z"])


def test_rows_that_nobody_is_asked_about(tmp_path):
    rows = {"id": ["a", "", "b" * 65, "c", "d"], "token": ["x", "x", "x", "y" * 4097, ""]}
    (page,) = pages(listed(tmp_path, rows, consent="token"))
    assert page.ids == ["a", "d"]
    assert page.codes == {1: "own_id", 2: "own_id", 3: "consent_form"}
    (page,) = pages(listed(tmp_path, rows, consent="token", screening=True))
    assert page.ids == ["a"]
    assert page.codes[4] == "consent_missing"


def test_own_values_come_with_the_rows_that_have_some(tmp_path):
    rows = {"id": ["a", "b"], "term": ["12", None], "use": [None, None]}
    file = check_columns(listed(tmp_path, rows), own=("term", "use", "other"))
    assert file.values == ("term", "use")
    (page,) = pages(file)
    assert page.values == {0: {"term": "12", "use": None}}


def test_the_digest_is_that_of_the_content(tmp_path):
    one = counted(listed(tmp_path, {"id": ["a", "b"]})).digest
    assert counted(listed(tmp_path, {"id": ["a", "b"], "other": [1, 2]})).digest == one
    assert counted(listed(tmp_path, {"id": ["b", "a"]})).digest != one


def test_parquet_gives_the_same_pages(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "token": ["x", None]})
    frame.to_parquet(tmp_path / "ids.parquet")
    frame.to_csv(tmp_path / "ids.csv", index=False)
    digests = {counted(ListFile(tmp_path / f"ids.{s}", "id", "token")).digest for s in ("csv", "parquet")}
    assert len(digests) == 1


def test_what_is_no_list_is_named(tmp_path):
    file = listed(tmp_path, {"uscc": ["a"]})
    with pytest.raises(ConfigError, match=r"no column id.*uscc.*--column"):
        check_columns(file)
    with pytest.raises(ConfigError, match="no column tokens.*--consent"):
        check_columns(ListFile(file.path, "uscc", "tokens"))
    with pytest.raises(ConfigError, match="no file"):
        check_columns(ListFile(tmp_path / "gone.csv", "id"))
    with pytest.raises(ConfigError, match=r"\.parquet"):
        check_columns(ListFile(tmp_path / "ids.xlsx", "id"))
    with pytest.raises(ConfigError, match="no rows"):
        counted(listed(tmp_path, {"id": []}))
    (tmp_path / "ids.csv").write_bytes(b"PAR1....")
    with pytest.raises(DataError, match="Parquet"):
        check_columns(ListFile(tmp_path / "ids.csv", "id"))
