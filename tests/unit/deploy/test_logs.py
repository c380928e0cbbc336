"""The log holds fields and sentences of the program, and nothing that was filled in."""

import json
import logging
import multiprocessing
import stat

import pytest

from fedrisk.deploy import logs
from fedrisk.errors import BudgetError

CANARY = "CANARY-4711"


@pytest.fixture
def file(tmp_path):
    yield tmp_path / "deep" / "node.jsonl"
    logs.stop()


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_line_has_the_fields_that_were_given_and_no_others(file):
    logs.start(file, "node")
    extra = {"event": "served", "study": "refit", "attempt": "ab12", "exchange": 3, "action": "release"}
    extra |= {"peer": "city_bank", "seconds": 0.81234, "bytes": 1024, "value": CANARY}
    logging.getLogger("fedrisk").info("a message is answered", extra=extra)
    (line,) = lines(file)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "part": "node",
        "event": "served",
        "text": "a message is answered",
        "study": "refit",
        "attempt": "ab12",
        "action": "release",
        "peer": "city_bank",
        "exchange": 3,
        "seconds": 0.812,
        "bytes": 1024,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_what_is_filled_into_a_sentence_is_left_out(file):
    logs.start(file, "node")
    own, flower = logging.getLogger("fedrisk"), logging.getLogger("flwr")
    flower.addHandler(loud := logging.StreamHandler())
    loud.emit = lambda record: pytest.fail("a library's own handler was used")
    own.error("%s refused: %s", "blind", ValueError(CANARY))
    own.error(f"could not convert '{CANARY}' of row {CANARY}")
    flower.error("[Fleet.PullMessages] object %s of %s", CANARY, {"a": CANARY})
    flower.error(f"cannot parse {CANARY}: {CANARY}")
    logging.getLogger("uvicorn.error").warning("GET /%s", CANARY)
    logging.getLogger("some.other").warning(f"x={CANARY}")
    flower.removeHandler(loud)
    try:
        float(CANARY)
    except ValueError:
        own.exception("a handler failed")
    try:
        raise BudgetError(CANARY)
    except BudgetError:
        own.exception("a release was refused")
    text = file.read_text()
    assert CANARY not in text and "4711" not in text
    found = lines(file)
    assert [f["event"] for f in found] == [*["note"] * 2, *["library"] * 4, *["note"] * 2]
    assert found[2]["text"] == "[Fleet.PullMessages] object … of …" and found[2]["logger"] == "flwr"
    assert (found[6]["error"], found[6]["code"]) == ("ValueError", "internal")
    assert (found[7]["error"], found[7]["code"]) == ("BudgetError", "budget")


def test_a_field_that_is_no_word_or_number_is_not_written(file):
    logs.start(file, "node")
    extra = {"event": "X Y", "peer": "a\nb", "code": ["x"], "seconds": float("nan"), "bytes": "many"}
    logging.getLogger("fedrisk").info("x", extra=extra)
    (line,) = lines(file)
    assert line["event"] == "note" and line["peer"] == "…"
    assert not {"code", "seconds", "bytes"} & line.keys()


def test_libraries_are_heard_from_warnings_on(file):
    logs.start(file, "hub")
    logging.getLogger("flwr").info("polled")
    logging.getLogger("some.other").info("polled")
    logging.getLogger("fedrisk").debug("detail")
    assert not file.exists()


def test_starting_anew_writes_to_the_new_file_alone(file, tmp_path):
    logs.start(file, "hub")
    logs.start(tmp_path / "other.jsonl", "work")
    logging.getLogger("fedrisk").info("here")
    logging.getLogger("flwr").error("there")
    assert not file.exists() and [x["part"] for x in lines(tmp_path / "other.jsonl")] == ["work", "work"]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "log").mkdir()
    logs.start(tmp_path / "log", "hub")
    logging.getLogger("fedrisk").error("x")
    logs.stop()


def write(file, name, count):
    handler = logs.PrivateFile(file, size=3000, kept=50)
    handler.setFormatter(logs.JsonLine(name))
    for k in range(count):
        record = logging.LogRecord("fedrisk", logging.INFO, "", 0, "one line", (), None)
        record.exchange = k
        handler.emit(record)


def test_two_processes_lose_no_line_when_the_file_is_put_aside(tmp_path):
    file = tmp_path / "hub.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(file, name, 200)) for name in ("serve", "work")]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 3
    found = [(x["part"], x["exchange"]) for f in files for x in lines(f)]
    assert sorted(found) == sorted((p, k) for p in ("serve", "work") for k in range(200))
    assert all(f.stat().st_size <= 3200 and stat.S_IMODE(f.stat().st_mode) == 0o600 for f in files)


def test_only_so_many_full_files_are_kept(tmp_path):
    handler = logs.PrivateFile(tmp_path / "x.jsonl", size=200, kept=2)
    handler.setFormatter(logs.JsonLine("hub"))
    for _ in range(40):
        handler.emit(logging.LogRecord("fedrisk", logging.INFO, "", 0, "one line", (), None))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.jsonl", "x.jsonl.1", "x.jsonl.2"]
