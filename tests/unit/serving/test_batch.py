"""Batches: rows in order, what is on its way asked by the same bytes, a file that is whole or absent."""

import json
import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedrisk.errors import ConfigError, LaterError, PeerError, QuotaError, Stopped
from fedrisk.serving.answer_table import table_of
from fedrisk.serving.batch import Order, run
from fedrisk.serving.batch_folder import BatchFolder
from fedrisk.serving.batch_list import ListFile, counted
from fedrisk.serving.gather import Sums
from fedrisk.serving.score_forms import Ages, ModelUsed, ScoreAnswer

MODEL = "0123456789abcdef"
USED = ModelUsed(id=MODEL, name="card", version=1, deployed_as="champion")


class Members:
    """Asks nobody: keeps what it was asked, and fails as a test says."""

    def __init__(self, fail=lambda n: None):
        self.fail, self.sent, self.tries, self.lock = fail, [], 0, threading.Lock()

    def ask(self, part, ids, *, kept=None, keep, **how):
        with self.lock:
            self.tries += 1
            number = self.tries
        raw = kept or json.dumps({"question": number, "ids": list(ids)}).encode()
        keep(raw)
        with self.lock:
            self.sent.append(raw)
        failed = self.fail(number)
        if isinstance(failed, BaseException):
            raise failed
        if kept is not None and failed == {"tax": "old"}:
            # As Asking does, in place of the question that came to nothing.
            return self.ask(part, ids, keep=keep)
        return Sums({"points": np.zeros(len(ids), np.int64)}, failed=failed or {})


class Service:
    """Scores by the number in the id, once the members were asked."""

    def __init__(self, asking):
        self.asking = asking

    def table(self, request, bins=()):
        if self.asking is not None:
            self.asking.ask(None, request.ids)
        consents = request.consents or [""] * 1000
        return table_of([self.one(i, c) for i, c in zip(request.ids, consents, strict=False)])

    def one(self, id, consent):
        number = int(id[1:])
        if number % 10 == 9:
            return ScoreAnswer(
                id=id, code="consent_expired", words="tax gives nothing.", model=USED, members={"tax": "x"}
            )
        return ScoreAnswer(
            id=id,
            model=USED,
            score=number,
            probability=1 / (number + 1),
            grade="ABC"[number % 3],
            reasons=("external data", consent),
            ages=Ages(told=True, fresh=1, aging=0, old=0, missing=2, words="one"),
        )

    def close(self):
        pass


@pytest.fixture
def batch(tmp_path):
    """Runs a batch of ``rows`` ids; the file that it writes, and its summary."""

    def call(members=None, rows=2500, to="scores.csv", page_ids=None, patience=0.0, in_flight=3, **order):
        ids = page_ids or [f"e{k}" for k in range(rows)]
        file = tmp_path / "ids.csv"
        pd.DataFrame({"id": ids, "token": [f"t{i}" for i in ids]}).to_csv(file, index=False)
        listed = ListFile(file, "id", "token")
        what = Order(bank="alfa", model=MODEL, file=listed, counted=counted(listed), **order)
        with BatchFolder(tmp_path / to).opened(what.to_dict()) as folder:
            return run(what, folder, members, Service, patience=patience, in_flight=in_flight)

    return call


def test_rows_come_in_the_order_of_the_list(batch, tmp_path):
    summary = batch(Members())
    table = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)
    assert table["id"].tolist() == [f"e{k}" for k in range(2500)]
    one = table.iloc[7]
    assert (one["score"], one["grade"], one["reason_1"], one["reason_2"]) == (
        "7",
        "B",
        "external data",
        "te7",
    )
    assert float(one["probability"]) == 1 / 8
    assert (one["ages_fresh"], one["ages_missing"], one["model"], one["code"]) == ("1", "2", MODEL, "")
    assert table.iloc[9]["code"] == "consent_expired"
    assert table.iloc[9]["members"] == "tax: x"
    assert (summary.rows, summary.scored, summary.written) == (2500, 2250, 2500)
    assert summary.codes == {"consent_expired": 250}
    assert summary.grades.total() == 2250
    assert not (tmp_path / "scores.csv.part").exists()
    assert (tmp_path / "scores.csv").stat().st_mode & 0o777 == 0o600


def test_parquet_has_the_same_rows(batch, tmp_path):
    batch(Members())
    batch(Members(), to="scores.parquet")
    text, binary = pd.read_csv(tmp_path / "scores.csv"), pd.read_parquet(tmp_path / "scores.parquet")
    assert list(text) == list(binary)
    pd.testing.assert_series_equal(text["probability"], binary["probability"])
    assert text["score"].fillna(-1).tolist() == binary["score"].fillna(-1).tolist()


def test_an_id_that_comes_again_gets_the_same_answer(batch, tmp_path):
    members = Members()
    batch(members, page_ids=["e5", "e6", "e5"])
    assert pd.read_csv(tmp_path / "scores.csv")["score"].tolist() == [5, 6, 5]
    assert [json.loads(raw)["ids"] for raw in members.sent] == [["e5", "e6"]]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ({"tax": "away"}, LaterError),
        (LaterError("no hub"), LaterError),
        ({"tax": "quota"}, QuotaError),
        ({"tax": "approval", "power": "away"}, PeerError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_batch_that_was_stopped_goes_on_by_the_same_bytes(batch, tmp_path, failure, error):
    first = Members(lambda n: failure if n > 2 else None)
    with pytest.raises(error):
        batch(first, rows=5000, in_flight=1)
    assert not (tmp_path / "scores.csv").exists()
    second = Members()
    batch(second, rows=5000, in_flight=1)
    table = pd.read_csv(tmp_path / "scores.csv")
    assert table["id"].tolist() == [f"e{k}" for k in range(5000)]
    # Two pages were there; the third is asked by its very bytes, and no other was asked before.
    assert len(second.sent) == 3
    assert second.sent[0] == first.sent[2]
    assert not set(first.sent[:2]) & set(second.sent)


def test_a_member_that_is_away_is_asked_again(batch, tmp_path):
    members = Members(lambda n: {"tax": "late"} if n == 1 else None)
    batch(members, rows=10, patience=5.0)
    assert len(members.sent) == 2
    assert members.sent[0] == members.sent[1]


def test_a_question_that_became_old_is_made_anew(batch):
    with pytest.raises(LaterError):
        batch(Members(lambda n: {"tax": "away"}), rows=10)
    members = Members(lambda n: {"tax": "old"} if n == 1 else None)
    batch(members, rows=10)
    assert len(set(members.sent)) == 2


def test_stopped_by_hand_says_how_far_it_is(batch):
    with pytest.raises(Stopped, match=r"2 of 5 pages .*same command goes on"):
        batch(Members(lambda n: KeyboardInterrupt() if n == 3 else None), rows=5000, in_flight=1)


def test_another_file_is_never_written_over(batch, tmp_path):
    (tmp_path / "scores.csv").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        batch(Members())
    assert (tmp_path / "scores.csv").read_text() == "mine"


def test_one_that_appears_meanwhile_stays(batch, tmp_path):
    def appear(n):
        (tmp_path / "scores.csv").write_text("mine")

    with pytest.raises(ConfigError, match="meanwhile"):
        batch(Members(appear), rows=10)
    assert (tmp_path / "scores.csv").read_text() == "mine"
    (tmp_path / "scores.csv").unlink()
    members = Members()
    batch(members, rows=10)
    assert members.sent == []


def test_the_folder_of_another_batch_is_refused(batch, tmp_path):
    with pytest.raises(LaterError):
        batch(Members(lambda n: {"tax": "away"}), rows=10)
    with pytest.raises(ConfigError, match="another batch: list differ"):
        batch(Members(), rows=11)
    with pytest.raises(ConfigError, match="another batch: purpose differ"):
        batch(Members(), rows=10, purpose="other")


def test_two_processes_do_not_work_on_one_batch(batch, tmp_path):
    def second(n):
        if n == 1:
            with (
                pytest.raises(ConfigError, match="another process"),
                BatchFolder(tmp_path / "scores.csv").opened({}),
            ):
                pass

    batch(Members(second), rows=10)


@pytest.mark.parametrize("step", ["link", "rename"])
def test_a_batch_that_was_killed_at_its_last_step_is_finished(batch, tmp_path, monkeypatch, step):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "link") if step == "link" else (Path, "rename")), killed)
        with pytest.raises(KeyboardInterrupt):
            batch(Members(), rows=10)
    assert (tmp_path / "scores.csv").exists() == (step == "rename")
    # Nothing of the pages is needed, and nobody is asked.
    for page in (tmp_path / "scores.csv.part" / "pages").iterdir():
        page.unlink()
    members = Members()
    summary = batch(members, rows=10)
    assert members.sent == []
    assert (summary.rows, summary.scored, summary.codes) == (10, 9, {"consent_expired": 1})
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 10
    assert list(tmp_path.glob("scores.csv.*")) == []


def test_grades_are_chosen_and_sorted(batch, tmp_path):
    summary = batch(Members(), rows=20, grades=("A", "C"), sort=True)
    table = pd.read_csv(tmp_path / "scores.csv")
    assert table["grade"].tolist() == ["A"] * 6 + ["C"] * 6
    assert table["score"].tolist() == [0, 3, 6, 12, 15, 18, 2, 5, 8, 11, 14, 17]
    assert (summary.rows, summary.written) == (20, 12)
    batch(Members(), rows=20, sort=True, to="sorted.csv")
    found = Counter(pd.read_csv(tmp_path / "sorted.csv")["code"].fillna(""))
    assert found == {"": 18, "consent_expired": 2}


def test_a_model_without_members_asks_nobody(batch, tmp_path):
    batch(None, rows=10)
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 10
