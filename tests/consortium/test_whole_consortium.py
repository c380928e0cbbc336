"""Hub and three nodes, each a process: the same scorecard as on one machine, and nothing of a record anywhere else."""

import threading
import urllib.request
from pathlib import Path

import pytest

from fedrisk.engine.handed_over import compare
from fedrisk.server.results import Results
from support.deployed import Deployed, canaries

pytestmark = pytest.mark.study
SEED = 3


class Watch(threading.Thread):
    """Reads files again and again while something else works, and notes which of some words they hold.

    Flower's database forgets messages once they are delivered, so that one look at the end would see nothing. A file is
    read again once it was written to; the last look reads all.
    """

    def __init__(self, folders: list[Path], words: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.folders, self.words = folders, words
        self.found: dict[bytes, set[Path]] = {word: set() for word in words}
        self.looks, self.read, self._over = 0, 0, threading.Event()
        self._seen: dict[Path, tuple[int, int]] = {}

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.look()

    def look(self) -> None:
        for folder in self.folders:
            for file in [f for f in folder.rglob("*") if f.is_file()]:
                try:
                    now = file.stat()
                    if self._seen.get(file) == (now.st_mtime_ns, now.st_size):
                        continue
                    content = file.read_bytes()
                except OSError:
                    continue
                self._seen[file] = (now.st_mtime_ns, now.st_size)
                self.read += len(content)
                for word in self.words:
                    if word in content:
                        self.found[word].add(file)
        self.looks += 1

    def stop(self) -> dict[bytes, set[Path]]:
        if self.is_alive():
            self._over.set()
            self.join()
        self._seen.clear()
        self.look()
        return self.found


def seen(results: Results) -> list[tuple[str, str, str, str, int]]:
    """Who saw what, how protected and how often."""
    return [(d.institution, d.counterparty, d.kind, d.protection, d.count) for d in results.disclosures]


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


def test_the_same_scorecard_as_on_one_machine_and_no_record_anywhere_else(start, on_one_machine):
    one = on_one_machine(canaries)
    secret: dict[str, list[bytes]] = {}
    consortium: Deployed = start(lambda tables: secret.update(canaries(tables)))
    consortium.serve()
    searched = [word for words in secret.values() for word in words]
    # What a bank states about its columns does go through the hub in clear: the search would find what is there.
    public = [b"share of the limit in use"]
    nodes = [node.path for node in consortium.joined.nodes.values()]
    screens = [machine.folder for machine in consortium.machines.values()]
    own = [path / "store" for path in screens]
    watch = Watch([consortium.home], [*searched, *public])
    watch.start()

    proposal = consortium.submit(research_seed=SEED)
    consortium.approve(proposal)
    run = consortium.finished(proposal)
    found = watch.stop()

    assert watch.looks > 20 and found[public[0]] and any("sqlite" in f.name for f in found[public[0]])
    assert {word: files for word, files in found.items() if files and word not in public} == {}
    aside = Watch([*nodes, *screens], searched)
    hits = {
        word: {f for f in files if not any(f.is_relative_to(o) for o in own)}
        for word, files in aside.stop().items()
    }
    assert {word: files for word, files in hits.items() if files} == {}
    for name, port in consortium.ports.items():
        if name != "public":
            text = metrics(port).encode()
            assert not [word for word in searched if word in text]
            assert b"fedrisk_exchange_seconds_count" in text, name

    assert (run / "scorecard.json").read_text().rstrip() == one.card.to_json()
    kept = Results.load(run)
    assert seen(kept) == seen(one) and kept.disagreements == () and kept.not_compared == ()
    assert len(kept.tables) == 3 and compare(run).ok
    assert [f.code for f in kept.findings] == [*(f.code for f in one.findings), "kept_at_banks"]
    logged = [line for line in consortium.logs("bank") if line["event"] == "served"]
    assert {"describe", "deliver", "close"} <= {line["action"] for line in logged}
    assert b"epsilon" not in metrics(consortium.ports["hub"]).encode()
    assert set(consortium.stop().values()) == {0}


@pytest.mark.long
def test_a_study_that_one_member_refuses_does_not_run(start):
    consortium: Deployed = start()
    consortium.serve()
    proposal = consortium.submit()
    consortium.approve(proposal, "bank", "tax")
    consortium.refuse(proposal, "power", "Quetzal")
    ended = consortium.wait(proposal)
    assert (ended.state, ended.answers["power"].state) == ("refused", "refused")
    assert "Quetzal" not in repr(ended)
    assert not [f for f in consortium.home.rglob("*") if f.is_file() and b"Quetzal" in f.read_bytes()]
