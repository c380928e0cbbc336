"""Batches through the real handlers: the same answers as one by one, and nobody counted twice after a kill -9."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from fedrisk.clients.node import Node
from fedrisk.serving import registry
from fedrisk.serving.answer_table import flat
from fedrisk.serving.asking import Asking
from fedrisk.serving.bank import BankService
from fedrisk.serving.book import Book, day_of, month_of
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.score_forms import ScoreRequest
from support.serving import IDS, MODEL, Consortium

HOLDERS = ("court", "power", "tax")
VALUES = {
    "bank": (0.0,) * 6,
    "court": (0.0, 1.0, 2.0, None, 0.0),
    "power": (2.0, None, 1.0),
    "tax": (None, 0.0, 0.0, 2.0, 1.0, 1.0),
}


@pytest.fixture
def consortium(tmp_path):
    """A bank and three holders whose model is the bank's champion."""
    made = Consortium(tmp_path / "members", holders=HOLDERS, values=VALUES, serving={"screening": "100"})
    registry.deploy(made.nodes["bank"], MODEL, as_="champion", who="officer")
    return made


@pytest.fixture
def few_a_page(monkeypatch):
    """Pages of two enterprises."""
    monkeypatch.setattr("fedrisk.serving.batch_list.MOST_ROWS", 2)


def members(consortium):
    return [a for name in HOLDERS for a in ("--members", consortium.paths[name])]


def write_list(tmp_path, ids=IDS, **columns):
    file = tmp_path / "ids.csv"
    pd.DataFrame({"id": list(ids), **columns}).to_csv(file, index=False)
    return file


def one_by_one(consortium, ids, consents=None):
    """Each enterprise asked about by itself."""
    node = Node.open(consortium.paths["bank"])
    relay = LocalRelay(consortium.paths, "bank")
    service = BankService(node, relay, asking=Asking(node, relay))
    try:
        return [
            service.score(ScoreRequest(ids=(i,), consents=(consents[k],) if consents else ()))[0]
            for k, i in enumerate(ids)
        ]
    finally:
        service.close()
        relay.close()


def counted(consortium, name, what="scores"):
    """What a holder counted for the bank, today or this month."""
    import time

    book = Book.open(consortium.store(name) / "serving", lambda: None)
    try:
        period = (month_of if what == "screening" else day_of)(time.time())
        with book.question(time.time()) as page:
            return page.counted("bank", what, period)
    finally:
        book.close()


def test_a_batch_gives_the_same_answers_as_one_by_one(consortium, fedrisk, tmp_path, few_a_page):
    ids = [*IDS, "E2", "nobody"]
    code, out, err = fedrisk(
        "score", consortium.paths["bank"], "champion", write_list(tmp_path, ids), "--out", "s.parquet",
        *members(consortium), "--json",
    )  # fmt: skip
    assert code == 0, err
    assert '"scored": 7' in out
    table = pd.read_parquet(tmp_path / "s.parquet")
    for row, answer in zip(table.to_dict("records"), one_by_one(consortium, ids), strict=True):
        expected = {**dict.fromkeys(table.columns), **flat(answer)}
        same = [name for name in expected if name != "made"]
        assert {n: row[n] if pd.notna(row[n]) else None for n in same} == {n: expected[n] for n in same}
    assert table["code"].tolist() == [""] * 7 + ["own_row"]
    assert table["ages_fresh"].notna().sum() == 7


def test_screening_asks_about_those_who_consented(consortium, fedrisk, tmp_path):
    file = write_list(tmp_path, consent=["a", "", "b", None, "c", "d"])
    what = ("score", consortium.paths["bank"], "champion", file, "--consent", "consent", "--out")
    code, _, err = fedrisk(*what, "s.csv", "--screening", *members(consortium))
    assert code == 0, err
    assert "2 of the list were not answered" in err
    table = pd.read_csv(tmp_path / "s.csv", keep_default_na=False)
    assert sorted(table["id"]) == sorted(IDS)
    assert table["grade"].tolist()[:4] == sorted(table["grade"].tolist()[:4])
    assert table["code"].tolist() == [""] * 4 + ["consent_missing"] * 2
    assert [counted(consortium, name, "screening") for name in HOLDERS] == [4, 4, 4]
    for name in (*HOLDERS, "bank"):
        (entry,) = [e for e in consortium.nodes[name].trail.entries() if e.kind == "served_list"]
        assert entry.rows == 4
    best = table["grade"][0]
    code, _, _ = fedrisk(*what, "best.csv", "--screening", "--grades", best, *members(consortium), "--json")
    assert code == 0
    assert set(pd.read_csv(tmp_path / "best.csv")["grade"]) == {best}


def test_a_screening_is_refused_where_the_policy_has_no_number_for_it(consortium, fedrisk, tmp_path):
    consortium.write("tax", VALUES["tax"], screening="0")
    file = write_list(tmp_path, consent=["a"] * 6)
    code, _, err = fedrisk(
        "score", consortium.paths["bank"], "champion", file, "--consent", "consent", "--screening",
        "--out", "s.csv", *members(consortium),
    )  # fmt: skip
    assert code == 5
    assert "tax gives nothing" in err
    assert not (tmp_path / "s.csv").exists()


def test_what_does_not_fit_is_named_before_anybody_is_asked(consortium, fedrisk, tmp_path):
    bank, file = consortium.paths["bank"], write_list(tmp_path)
    for wrong, said in (
        (("--out", "s.xlsx"), ".csv or .parquet"),
        (("--out", "s.csv", "--grades", "Z"), "no grade Z"),
        (("--out", "s.csv", "--screening"), "--consent"),
        (("--out", "s.csv", "--column", "uscc"), "no column uscc"),
        (("--out", "s.csv", "--purpose", "marketing"), "No model is deployed"),
    ):
        code, _, err = fedrisk("score", bank, "champion", file, *wrong, *members(consortium))
        assert code == 3, err
        assert said in err
    code, _, err = fedrisk("score", consortium.paths["tax"], "champion", file, "--out", "s.csv")
    assert code == 3
    assert "name a bank" in err
    assert not list(tmp_path.glob("s.csv*"))


KILLED = """
import os, signal, sys
from fedrisk.cli import main
from fedrisk.serving import batch_list
from fedrisk.serving.local_relay import LocalRelay

batch_list.MOST_ROWS = 2
asked, ask = [], LocalRelay.ask

def killed(self, *a):
    answers = ask(self, *a)
    asked.append(1)
    if len(asked) == 2:
        # All members have answered and counted; nothing of it reaches the bank.
        os.kill(os.getpid(), signal.SIGKILL)
    return answers

LocalRelay.ask = killed
sys.argv = ["fedrisk", *sys.argv[1:]]
main()
"""


def test_a_batch_that_was_killed_goes_on_and_nobody_is_counted_twice(
    consortium, fedrisk, tmp_path, few_a_page
):
    arguments = [
        "score",
        consortium.paths["bank"],
        "champion",
        write_list(tmp_path),
        "--out",
        tmp_path / "s.csv",
    ]
    arguments += members(consortium)
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (tmp_path / "s.csv").exists()
    code, _, err = fedrisk(*arguments)
    assert code == 0, err
    table = pd.read_csv(tmp_path / "s.csv")
    assert table["score"].tolist() == [a.score for a in one_by_one(consortium, IDS)]
    # Six of the batch, and six one by one.
    assert [counted(consortium, name) for name in HOLDERS] == [12, 12, 12]
