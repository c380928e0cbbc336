"""What a node keeps by id: pseudonyms, sides of the split, versions of scores, requests that wait."""

import stat
from datetime import date

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients.store.pseudonym_store import PseudonymStore
from fedrisk.errors import ProtocolError


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def kept(tmp_path):
    return PseudonymStore(tmp_path / "node")


def values(*numbers):
    return np.array([[n] * 32 for n in numbers], np.uint8)


def test_kept_pseudonyms_are_found_by_id_in_any_order(kept):
    found, known = kept.of("tax-1", ["a", "b"])
    assert not known.any()
    assert not found.any()
    kept.keep("tax-1", np.array(["a", "b", "c"], object), values(1, 2, 3))
    found, known = kept.of("tax-1", np.array(["c", "x", "a"], object))
    assert known.tolist() == [True, False, True]
    assert (found == values(3, 0, 1)).all()
    assert not kept.of("tax-2", ["a"])[1].any()  # another epoch, other pseudonyms


def test_kept_pseudonyms_are_added_to_and_the_latest_counts(kept):
    kept.keep("tax-1", ["a", "b"], values(1, 2))
    kept.keep("tax-1", ["b", "c"], values(5, 6))
    found, known = kept.of("tax-1", ["a", "b", "c"])
    assert known.tolist() == [True, True, True]  # who left the table may return
    assert (found == values(1, 5, 6)).all()
    assert [f.name for f in (kept.path / "pseudonyms").iterdir()] == ["tax-1.parquet"]
    assert mode(kept.path / "pseudonyms") == 0o700


def test_pseudonyms_known_without_reading_them(kept):
    assert kept.known("tax-1", ["a"]).tolist() == [False]
    kept.keep("tax-1", ["c", "a"], values(3, 1))
    assert kept.known("tax-1", np.array(["b", "c", "a"], object)).tolist() == [False, True, True]
    assert kept.of("tax-1", ["a", "c"])[0][:, 0].tolist() == [1, 3]  # the very list that is kept
    assert pd.read_parquet(kept.path / "pseudonyms" / "tax-1.parquet")["id"].tolist() == ["a", "c"]


def test_pseudonyms_that_an_earlier_version_kept_are_read(kept):
    (kept.path / "pseudonyms").mkdir(parents=True)
    frame = pd.DataFrame({"id": ["b", "a"], "pseudonym": [b"\x02" * 32, b"\x01" * 32]})
    frame.to_parquet(kept.path / "pseudonyms" / "tax-1.parquet", index=False)
    assert kept.of("tax-1", ["a", "b", "z"])[0][:, 0].tolist() == [1, 2, 0]
    kept.keep("tax-1", ["z"], values(9))
    assert kept.of("tax-1", ["z", "b", "a"])[0][:, 0].tolist() == [9, 2, 1]


def test_versions_of_scores_are_counted(kept):
    def counts(version, since=date(2026, 1, 1), ids=("a", "b", "c")):
        return kept.scored_versions("bank", since, list(ids), version).tolist()

    assert counts("v1") == [1, 1, 1]
    kept.keep_scored("bank", date(2026, 2, 1), "v1", ["a", "b"])
    kept.keep_scored("bank", date(2026, 2, 1), "v1", ["b", "c"])  # the same day again adds to it
    kept.keep_scored("bank", date(2026, 3, 1), "v1", ["a"])
    kept.keep_scored("bank", date(2026, 4, 1), "v2", ["c"])
    kept.keep_scored("other", date(2026, 4, 1), "v9", ["a"])
    assert counts("v1") == [1, 1, 2]
    assert counts("v2") == [2, 2, 2]
    assert counts("v3", ids="abcd") == [2, 2, 3, 1]
    assert counts("v3", since=date(2026, 2, 1)) == [2, 1, 2]  # of v1 only what a got on 1 March
    assert counts("v3", ids="") == []


def test_sides_under_earlier_keys_are_known(kept):
    ids = ["a", "b", "c", "d"]
    assert [s.tolist() for s in kept.earlier_split("k@2", ids)] == [[False] * 4] * 2
    kept.keep_split("k@1", ["a"], np.array([1], np.uint8))
    kept.keep_split(
        "k@1", ["c", "a"], np.array([0, 1], np.uint8)
    )  # a second study of the epoch adds to the first
    kept.keep_split("k@2", ["d"], np.array([1], np.uint8))
    held, trained = kept.earlier_split("k@2", ids)
    assert held.tolist() == [True, False, False, False]
    assert trained.tolist() == [False, False, True, False]
    assert kept.earlier_split("k@1", ids)[0].tolist() == [False, False, False, True]
    assert kept.earlier_split("k@3", ids)[0].tolist() == [True, False, False, True]
    assert kept.earlier_split("k@3", [])[0].tolist() == []


def test_a_pending_request_is_for_one_list_only_and_goes_when_answered(kept):
    ids, blinds, points = [b"x", b"yz"], bytes(64), bytes(range(64))
    assert kept.pending("k@1", ids) is None
    kept.keep_pending("k@1", ids, blinds, points)
    assert kept.pending("k@1", ids) == (blinds, points)
    assert kept.pending("k@1", [b"xy", b"z"]) is None
    assert kept.pending("k@2", ids) is None
    kept.drop_pending("k@1")
    assert kept.pending("k@1", ids) is None


def test_an_epochs_pseudonyms_are_of_one_key(kept):
    one, other = bytes(range(32)), bytes(32)
    kept.check_key("k@1@voprf", one)
    kept.keep_key("k@1@voprf", one)
    kept.keep_key("k@1@voprf", one)
    kept.keep_key("k@2@voprf", other)
    for call in (kept.check_key, kept.keep_key):
        with pytest.raises(ProtocolError, match=r"another evaluation key .* new alignment\.epoch"):
            call("k@1@voprf", other)
    assert mode(kept.path / "evaluation_keys" / "k@1@voprf.public") == 0o600
