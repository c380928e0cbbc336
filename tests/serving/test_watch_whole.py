"""A watch through the real handlers: months, kills at every step, a webhook, and nothing of an alert outside."""

import json
import os
import shutil
import signal
import time

import pandas as pd
import pytest

from fedrisk.serving import registry
from fedrisk.serving.book import Book, day_of
from fedrisk.watching.alert_book import AlertBook
from fedrisk.watching.history import Kept
from fedrisk.watching.month import Month
from support.serving import IDS, MODEL, NOW, Consortium
from support.webhook import receiving

HOLDERS = ("power", "tax")
GOOD = (0.0,) * 6
"""Points of a holder are 2 times its weight for a value of 2, which is 200 of the tax office; 0 for 0."""


@pytest.fixture
def consortium(tmp_path):
    made = Consortium(
        tmp_path / "members", holders=HOLDERS, values={"bank": GOOD, "power": GOOD, "tax": (2.0,) * 6}
    )
    registry.deploy(made.nodes["bank"], MODEL, as_="champion", who="officer")
    return made


@pytest.fixture
def few_a_page(monkeypatch):
    """Pages of two enterprises."""
    monkeypatch.setattr("fedrisk.serving.batch_list.MOST_ROWS", 2)


def watched(consortium, *lines):
    """The bank's file with [watch]."""
    file = consortium.paths["bank"]
    text = file.read_text("utf-8").partition("\n[watch]")[0]
    file.write_text("\n".join([text, "[watch]", *lines]) + "\n", "utf-8")


def members(consortium):
    return [a for name in HOLDERS for a in ("--members", consortium.paths[name])]


def month(consortium, fedrisk, name="2026-01", *more):
    return fedrisk(
        "watch", consortium.paths["bank"], "champion", "--month", name, *members(consortium), *more
    )


def kept(consortium):
    return Kept(consortium.store("bank") / "watch" / "whole")


def alert_of(consortium, enterprise):
    found = AlertBook(kept(consortium).folder).standing()
    return next(one.alert.id for one in found if one.alert.enterprise == enterprise)


def counted(consortium, name):
    book = Book.open(consortium.store(name) / "serving", lambda: None)
    try:
        with book.question(time.time()) as page:
            return page.counted("bank", "scores", day_of(time.time()))
    finally:
        book.close()


def fall(consortium, *places, **serving):
    """The tax office's values of these enterprises fall, which costs 200 points."""
    consortium.write("tax", [0.0 if k in places else 2.0 for k in range(6)], **serving)
    # Another day of the file: one that has not changed is not read again.
    os.utime(consortium.folder / "tax.csv", (NOW + 60, NOW + 60))


def test_months_alerts_and_what_people_do(consortium, fedrisk, tmp_path):
    watched(consortium, "fall = 40", 'file = "alerts.jsonl"')
    nothing = tmp_path / "matured.csv"
    nothing.write_text("id,month,outcome\n")
    code, out, err = month(consortium, fedrisk, "2026-01", "--outcomes", nothing)
    assert code == 0, err
    # As a task that runs every month gives the command: nothing can be known of loans in the first.
    assert "no month was kept before" in err
    assert "2026-01: 6 active loans, 6 with a score" in out and "0 new alerts" in out
    fall(consortium, 1, 4)
    code, out, err = month(consortium, fedrisk, "2026-02")
    assert code == 0 and "2 new alerts" in out, err
    file = consortium.folder / "alerts.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(a["enterprise"], a["rules"], a["points"], a["external"]) for a in lines] == [
        ("E1", ["fall"], -200, -200),
        ("E4", ["fall"], -200, -200),
    ]
    assert "E1" not in out + err

    before = file.read_bytes()
    code, out, err = month(consortium, fedrisk, "2026-02")
    assert code == 0 and "was kept before: nobody was asked" in err and "0 new alerts" in out
    assert file.read_bytes() == before
    code, _, err = month(consortium, fedrisk, "2025-12")
    assert code == 3 and "2026-02 is kept, so 2025-12 is not watched any more" in err
    code, out, err = month(consortium, fedrisk, "2026-03")
    assert code == 0 and "0 new alerts" in out
    assert [counted(consortium, name) for name in HOLDERS] == [18, 18]

    bank = consortium.paths["bank"]
    code, out, _ = fedrisk("watch", "alerts", bank, "--open", "--json")
    found = json.loads(out)["alerts"]
    assert [(a["enterprise"], a["state"], a["watch"]) for a in found] == [
        ("E1", "open", "whole"),
        ("E4", "open", "whole"),
    ]
    code, out, _ = fedrisk("watch", "acknowledge", bank, found[0]["id"][:8], "--who", "A. Officer")
    assert code == 0 and "is acknowledged" in out
    code, out, err = fedrisk("watch", "close", bank, found[0]["id"][:8], "--reason", "called", "--who", "B")
    assert code == 0 and "is closed" in out, err
    code, out, _ = fedrisk("watch", "alerts", bank)
    assert "E1" in out and "closed" in out
    said = " ".join(out.split())
    assert "score fell by 200 points since 2026-01; limit 40, against the best of 3 months" in said
    code, out, _ = fedrisk("watch", "alerts", bank, "--open", "--json")
    assert [a["enterprise"] for a in json.loads(out)["alerts"]] == ["E4"]
    code, _, err = fedrisk("watch", "close", bank, "ffff", "--reason", "x")
    assert code == 3 and "there is no alert ffff" in err


def test_active_loans_alone_and_rows_without_a_score_keep_their_code(consortium, fedrisk):
    watched(consortium, 'active = "active"', "fall = 40")
    file = consortium.folder / "bank.csv"
    table = pd.DataFrame(
        {
            "id": [*IDS, "E1"],
            "value": [0.0] * 7,
            "bad": [0, 1, 0, 1, 0, 1, 0],
            "active": [1, 1, 0, 1, 1, "no", "yes"],
        }
    )
    table.to_csv(file, index=False)
    code, out, err = month(consortium, fedrisk, "2026-01", "--json")
    assert code == 0, err
    said = json.loads(out)["models"]["scores"]
    assert said["loans"] == {"ended": 2, "loans": 4, "nameless": 0, "repeated": 1}
    assert said["codes"] == {"own_row": 1}
    frame = kept(consortium).read_month(Month(2026, 1)).to_pandas()
    assert frame["id"].tolist() == ["E0", "E1", "E3", "E4"]
    assert frame["code"].tolist() == ["", "own_row", "", ""]
    table["active"] = [0, 1, 1, 1, 1, 1, 0]
    table[:6].to_csv(file, index=False)
    os.utime(file, (time.time(), time.time()))
    code, out, err = month(consortium, fedrisk, "2026-02", "--json")
    said = json.loads(out)["models"]["scores"]
    assert (said["new"], said["gone"]) == (2, 1)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['active = "actve"'], "no column actve"),
        (['active = "bad_"'], "did you mean bad?"),
        (['consent = "token"'], "watch.consent: the bank's table has no column token"),
        (['warning = "whole"', "warning_threshold = 5"], "one of them is named twice"),
        (['challenger = "other"'], "watch.challenger: This bank has no such model"),
        (["fal = 40"], "fal"),
        (['webhook = { url = "http://bank.example/x" }'], "write https"),
    ],
)
def test_what_does_not_fit_is_named_before_anybody_is_asked(consortium, fedrisk, lines, said):
    watched(consortium, *lines)
    code, _, err = month(consortium, fedrisk)
    assert code == 3
    assert said in err
    assert [counted(consortium, name) for name in HOLDERS] == [0, 0]


def test_what_a_webhook_did_not_take_waits(consortium, fedrisk, tmp_path, caplog):
    with receiving(tmp_path / "r") as receiver:
        watched(consortium, f'webhook = {{ url = "{receiver.url}", ca = "{receiver.ca}" }}', "fall = 40")
        month(consortium, fedrisk)
        fall(consortium, 1, 4)
        receiver.statuses = [403, 422]
        code, out, err = month(consortium, fedrisk, "2026-02")
        assert code == 75
        assert "webhook: 1 (watch.webhook: 127.0.0.1:" in err and "alerts were refused: webhook: 1" in err
        assert "the month is kept" in err
        code, out, err = month(consortium, fedrisk, "2026-02")
        assert code == 0, err
        assert [a["enterprise"] for a in receiver.alerts] == ["E1"]
        bank = consortium.paths["bank"]
        code, out, _ = fedrisk("watch", "alerts", bank)
        assert "webhook refused it: watch.webhook: 127.0.0.1:" in " ".join(out.split())
        receiver.statuses = [400]
        code, _, err = fedrisk("watch", "send", bank)
        assert code == 8 and "answered 400" in err and "They hold back no others" in err
        assert "no alert is lost" in err and "month" not in err
        code, out, err = fedrisk("watch", "send", bank, alert_of(consortium, "E4")[:6], "--json")
        assert code == 0 and json.loads(out)["given_again"] == 1, err
        assert [a["enterprise"] for a in receiver.alerts] == ["E1", "E4"]
        code, out, _ = fedrisk("watch", "send", bank)
        assert code == 0 and out.startswith("0 refused")
    # Nothing of an alert is where others look: at holders, in trails, in logs.
    alert = receiver.ids[0].encode()
    for path in consortium.folder.rglob("*"):
        if path.is_file() and path.relative_to(consortium.folder).parts[:3] != ("home", "bank", "watch"):
            content = path.read_bytes()
            assert alert not in content, path
            assert b'"fall"' not in content, path
    assert "E1" not in caplog.text and "E1" not in out + err


def test_a_warning_model_and_a_challenger_are_asked_beside_it(consortium, fedrisk):
    from support.serving import part_of

    for place, (model, name) in enumerate((("a" * 16, "warn"), ("b" * 16, "other"))):
        for one in consortium.names:
            part = part_of(one, HOLDERS, model=model, name=name, version=place + 1)
            consortium.put(part)
            states = consortium.store(one) / "models" / model / "states.jsonl"
            states.write_text(json.dumps({"time": "", "state": "approved"}) + "\n")
        registry.deploy(consortium.nodes["bank"], model, as_="champion", who="officer")
    for one in HOLDERS:
        consortium.write(one, GOOD if one == "power" else (2.0,) * 6, models="5")
    watched(consortium, 'warning = "warn"', "warning_threshold = 700", 'challenger = "other"', "fall = 300")
    bank = ("watch", consortium.paths["bank"], "whole", "--month")
    code, out, err = fedrisk(*bank, "2026-01", *members(consortium))
    assert code == 0, err
    assert "challenger" in out and "0 new alerts" in out
    assert [counted(consortium, name) for name in HOLDERS] == [18, 18]
    fall(consortium, 3, models="5")
    code, out, err = fedrisk(*bank, "2026-02", *members(consortium))
    (one,) = AlertBook(kept(consortium).folder).standing()
    assert (one.alert.enterprise, one.alert.rules, one.alert.warning) == ("E3", ("warning",), 600)


def test_loans_that_run_have_limits_and_consents_of_their_own(consortium, fedrisk):
    rules = {
        "purposes": '["credit_scoring", "portfolio_monitoring"]',
        "consent": '"reference"',
        "per_day": "1",
    }
    monitored = {**rules, "monitoring": "11", "monitoring_consent": '"none"'}
    for name in HOLDERS:
        consortium.write(name, GOOD, **rules)
    watched(consortium, 'purpose = "portfolio_monitoring"')
    code, _, err = month(consortium, fedrisk)
    assert code == 8 and "does not allow this purpose" in err
    consortium.write("tax", GOOD, **monitored)
    consortium.write("power", GOOD, **monitored)
    code, out, err = month(consortium, fedrisk)
    assert code == 0, err
    assert "6 active loans, 6 with a score" in out
    # 5 are left of the month's 11.
    code, _, err = month(consortium, fedrisk, "2026-02")
    assert code == 5
    assert "does not bear the whole list, so nobody was scored" in err
    code, out, _ = fedrisk("policy", "serving", consortium.paths["tax"])
    assert "11 scores a month for one bank; consent: NONE IS ASKED FOR" in out


def test_a_quota_that_would_end_in_the_middle_is_told_at_once(consortium, fedrisk, few_a_page):
    consortium.write("tax", GOOD, per_day="5")
    watched(consortium)
    code, _, err = month(consortium, fedrisk)
    assert code == 5
    assert "tax gives nothing: this bank has asked as often today as it allows" in err
    assert "does not bear the whole list" in err
    assert counted(consortium, "tax") == 0 and counted(consortium, "power") == 2
    # In parts over several days, where the bank says so.
    shutil.rmtree(kept(consortium).folder)
    watched(consortium, "several_days = true")
    code, _, err = month(consortium, fedrisk)
    assert code == 5 and "2 of 3 pages are answered" in err
    consortium.write("tax", GOOD, per_day="6")
    code, _, err = month(consortium, fedrisk)
    assert code == 0, err
    assert counted(consortium, "tax") == 6


def test_outcomes_are_kept_with_the_month_in_which_a_loan_was_scored(consortium, fedrisk, tmp_path):
    watched(consortium)
    month(consortium, fedrisk)
    file = tmp_path / "matured.csv"
    file.write_text("id,month,outcome\nE1,2026-01,1\nE2,2026-01-31,0\nE9,2026-01,1\nE1,2025-01,0\n")
    bank = consortium.paths["bank"]
    code, out, err = fedrisk("watch", "outcomes", bank, file, "--json")
    assert code == 0, err
    assert json.loads(out) == {"bank": "bank", "new": 2, "same": 0, "changed": 0, "unknown": 2, "others": 0}
    code, out, _ = month(consortium, fedrisk, "2026-02", "--outcomes", file)
    assert "outcomes: 0 new, 2 known" in out
    assert kept(consortium).outcomes().to_pylist() == [
        {"id": "E1", "month": "2026-01", "outcome": 1},
        {"id": "E2", "month": "2026-01", "outcome": 0},
    ]
    for text, said in (
        ("id,month\nE1,2026-01\n", "no column outcome"),
        ("id,month,outcome\nE1,May,1\n", "is no month"),
        ("id,month,outcome\nE1,2026-01,maybe\n", "neither 1 nor 0"),
        ("id,month,outcome,label\nE1,2026-01,1,default\n", "several labels"),
    ):
        file.write_text(text)
        code, _, err = fedrisk("watch", "outcomes", bank, file)
        assert code in (3, 4) and said in err


def test_outcomes_of_a_label_by_its_name_or_its_column(consortium, fedrisk, tmp_path):
    watched(consortium)
    month(consortium, fedrisk)
    bank, file = consortium.paths["bank"], tmp_path / "matured.csv"
    file.write_text("id,month,label,outcome\nE1,2026-01,bad,1\nE2,2026-01,distress,maybe\n")
    for label, new, same in (("default", 1, 0), ("bad", 0, 1)):
        code, out, err = fedrisk("watch", "outcomes", bank, file, "--label", label, "--json")
        assert code == 0, err
        found = json.loads(out)
        assert (found["new"], found["same"], found["others"]) == (new, same, 1)
    code, _, err = fedrisk("watch", "outcomes", bank, file, "--label", "lat")
    assert code == 3 and "no outcome of the label lat; its labels are bad, distress" in err
    text = bank.read_text("utf-8").partition("\n[watch]")[0]
    more = '\n[[dictionary.labels]]\nname = "late"\ncolumn = "late"\nhorizon = "30 days"\n'
    bank.write_text(text + more)
    code, _, err = fedrisk("watch", "outcomes", bank, file, "--label", "late")
    assert code == 3 and "foretells default, and outcomes of late say nothing of it" in err


def test_months_that_a_slip_would_close(consortium, fedrisk):
    watched(consortium)
    bank = consortium.paths["bank"]
    consortium.write("tax", GOOD, per_day="1")
    code, _, err = month(consortium, fedrisk)
    assert code == 5
    # Nothing is watched yet, and what is begun is not passed over.
    code, _, err = fedrisk("watch", "alerts", bank)
    assert code == 3 and "watches nothing yet" in err
    code, _, err = month(consortium, fedrisk, "2026-02")
    assert code == 3 and "2026-01 was begun and is not finished" in err
    consortium.write("tax", GOOD)
    code, _, err = month(consortium, fedrisk)
    assert code == 0, err
    code, _, err = month(consortium, fedrisk, "9026-02")
    assert code == 3 and "is in the future, and not the month after 2026-01" in err
    # What a kill left of a month that is kept goes with the next run.
    left = kept(consortium).folder / "work" / "2026-01"
    left.mkdir(parents=True)
    (left / "about.json").write_text("{}")
    code, _, err = month(consortium, fedrisk)
    assert code == 0 and not left.exists(), err
    code, _, err = fedrisk("watch", "close", bank, "ffff", "--reason", " ")
    assert code == 3 and "closed with a reason" in err


def test_a_warning_model_that_is_named_after_a_month_was_begun_warns_of_nobody_in_it(consortium, fedrisk):
    from support.serving import part_of

    for one in consortium.names:
        consortium.put(part_of(one, HOLDERS, model="a" * 16, name="warn", version=1))
        states = consortium.store(one) / "models" / ("a" * 16) / "states.jsonl"
        states.write_text(json.dumps({"time": "", "state": "approved"}) + "\n")
    registry.deploy(consortium.nodes["bank"], "a" * 16, as_="champion", who="officer")
    for one in HOLDERS:
        consortium.write(one, GOOD, models="5")
    watched(consortium)
    bank = ("watch", consortium.paths["bank"], "whole", "--month")
    consortium.write("tax", GOOD, models="5", per_day="1")
    code, _, err = fedrisk(*bank, "2026-01", *members(consortium))
    assert code == 5, err
    # All scores of the watched model are below this threshold, which is of another one.
    watched(consortium, 'warning = "warn"', "warning_threshold = 10000")
    consortium.write("tax", GOOD, models="5")
    code, out, err = fedrisk(*bank, "2026-01", *members(consortium))
    assert code == 0 and "0 new alerts" in out, err
    assert "There is no warning sign in this month" in err
    code, out, err = fedrisk(*bank, "2026-02", *members(consortium))
    # Nothing happened to them: it is the month in which that model is asked for the first time.
    assert code == 0 and "0 new alerts\n6 alerts are of the stock" in out, err


# --- kills --------------------------------------------------------------------------------------------------


class Killed:
    """Kills this process before its n-th step: a write to the disk, a new name, or an answer of the members."""

    def __init__(self, at):
        self.at, self.steps = at, 0

    def patch(self):
        from fedrisk.serving.local_relay import LocalRelay

        for name in ("fsync", "replace", "link", "rename"):
            setattr(os, name, self._counting(getattr(os, name)))
        LocalRelay.ask = self._counting(LocalRelay.ask, after=True)

    def _counting(self, function, after=False):
        def counted(*arguments, **how):
            result = function(*arguments, **how) if after else None
            self.steps += 1
            if self.steps == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return result if after else function(*arguments, **how)

        return counted


def child(consortium, at):
    """The month's work in a child process that is killed at a step; None where it came to its end before."""
    from fedrisk.clients.node import Node
    from fedrisk.serving.local_relay import LocalRelay
    from fedrisk.watching.run import watch

    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            Killed(at).patch()
            relay = LocalRelay(consortium.paths, "bank")
            watch(Node.open(consortium.paths["bank"]), "champion", Month(2026, 2), relay)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.fixture
def begun(consortium, fedrisk, tmp_path, few_a_page):
    """A watch whose next month brings two alerts, as a folder that can be put back."""
    watched(consortium, "fall = 40", 'file = "alerts.jsonl"')
    code, _, err = month(consortium, fedrisk)
    assert code == 0, err
    fall(consortium, 1, 4)
    shutil.copytree(consortium.folder, tmp_path / "before")

    def again():
        shutil.rmtree(consortium.folder)
        shutil.copytree(tmp_path / "before", consortium.folder)

    return again


def check(consortium):
    """Nothing lost, nothing twice."""
    found = kept(consortium)
    assert found.months() == [Month(2026, 1), Month(2026, 2)]
    assert found.read_month(Month(2026, 2))["score"].to_pylist() == [800, 600, 800, 800, 600, 800]
    lines = [json.loads(line) for line in AlertBook(found.folder).path.read_text().splitlines()]
    assert [(line["what"], line["alert"]["enterprise"]) for line in lines] == [
        ("raised", "E1"),
        ("raised", "E4"),
    ]
    told = [
        json.loads(line)["enterprise"]
        for line in (consortium.folder / "alerts.jsonl").read_text().splitlines()
    ]
    assert told == ["E1", "E4"]
    assert [counted(consortium, name) for name in HOLDERS] == [12, 12]
    assert not list((found.folder / "work").iterdir())


@pytest.mark.parametrize("step", [1, 9, 25, 40])
def test_a_month_that_was_killed_goes_on(consortium, fedrisk, begun, step):
    assert child(consortium, step)
    code, _, err = month(consortium, fedrisk, "2026-02")
    assert code == 0, err
    check(consortium)


@pytest.mark.long
def test_a_month_that_was_killed_at_any_step_goes_on(consortium, fedrisk, begun):
    step = 1
    while child(consortium, step):
        # Killed once more on the way, a few steps further.
        child(consortium, 5)
        code, _, err = month(consortium, fedrisk, "2026-02")
        assert code == 0, (step, err)
        check(consortium)
        begun()
        step += 1
    assert step > 40
