"""Every file of every store may be gone, empty, cut, a folder or rubbish: one line says so, and nobody is charged.

One small study is run once. Then each file of the institutions' stores, of the hub's and of the results is damaged in
each way, in a copy, and the commands are called as the installed program calls them. None may show a traceback or meet
an error that fedrisk does not name; an error names the file; and a study that comes to nothing charges nobody.
"""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedrisk import cli
from fedrisk.cli.exits import EXIT_CODES
from support.unplotted import without_plots

pytestmark = pytest.mark.study

SET = ("--set", "privacy.epsilon=2")


def _missing(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _rubbish(path: Path) -> None:
    path.write_bytes(bytes((37 * k + 11) % 256 for k in range(max(64, path.stat().st_size))))


def _unreadable(path: Path) -> None:
    path.chmod(0o000)


DAMAGES = {f.__name__[1:]: f for f in (_missing, _empty, _cut, _folder, _rubbish, _unreadable)}

# One of a kind for each owner: attempts have random names, dates change.
PATTERNS = (
    *("hub/identity.key", "hub/pins.json", "hub/holdout.key", "hub/bank.key", "hub/sample.key"),
    *(
        "hub/drawn_with.json",
        "hub/runs/*/run.json",
        "hub/runs/*/metrics.json",
        "hub/runs/*/release_record.npz",
    ),
    *(
        "hub/runs/*/scorecard.json",
        "hub/runs/*/lock",
        "bank/store.json",
        "tax/store.json",
        "tax/epochs/*.made",
    ),
    *("tax/identity.key", "tax/pins.json", "tax/epochs/*.voprf", "tax/evaluation_keys/*", "tax/quota.sqlite"),
    *("bank/pseudonyms/*", "bank/sides/*", "power/pseudonyms/*", "power/scored/bank/*"),
    *("bank/identity.key", "bank/pins.json", "bank/evaluation_keys/*"),
    *("bank/ledger.sqlite", "bank/ledger.seal", "bank/ledger.sqlite-journal", "tax/ledger.sqlite"),
    *("bank/audit.jsonl", "bank/audit.jsonl.head", "bank/audit.jsonl.checkpoints/*"),
    *("bank/audit.jsonl.witnessed/*/*", "bank/out_of_time.json", "bank/errors.log", "bank/.lock"),
    *("bank/pending/*", "bank/attempts/*/Begun.json", "bank/attempts/*/Plan.json", "bank/attempts/*/over"),
    *(
        "bank/attempts/*/told_bins.message",
        "bank/results/*/own_figures.json",
        "bank/results/*/scorecard.json",
    ),
    *("bank/results/*/scores.parquet", "bank/results/*/own_models.json", "bank/results/*/points.parquet"),
    *("tax/models/*/part.json", "bank/models/*/part.json", "bank/models/*/own.npz"),
    *("results/metrics.json", "results/scorecard.json", "results/release_record.npz", "results/report.html"),
)
FREE = ("bank/out_of_time.json", "bank/errors.log", "bank/pending/*")
"""Files that this study does not leave; an ordinary one is put there."""

CASES = [(pattern, damage) for pattern in PATTERNS for damage in DAMAGES]
READ = {
    *(("bank/ledger.sqlite", "rubbish"), ("bank/audit.jsonl", "cut"), ("tax/models/*/part.json", "rubbish")),
    *(("results/metrics.json", "folder"), ("bank/results/*/own_figures.json", "cut")),
}
RUN = {
    *(("bank/ledger.sqlite", "rubbish"), ("bank/pseudonyms/*", "cut"), ("tax/quota.sqlite", "cut")),
    *(("hub/pins.json", "empty"), ("tax/epochs/*.voprf", "empty")),
}
"""Samples of make test: damages that commands which read meet, and those that a run meets."""


@dataclass(frozen=True)
class Built:
    """A finished study: home, results, and the consortium's own files."""

    folder: Path

    @property
    def study(self) -> Path:
        return self.folder / "consortium" / "study.toml"

    def institution(self, name: str) -> Path:
        return self.folder / "consortium" / "institutions" / f"{name}.toml"

    @property
    def attempt(self) -> str:
        """Id of the one attempt."""
        return next((self.folder / "kept_attempt").iterdir()).name

    def find(self, pattern: str) -> Path:
        """The first file of a pattern, below the home, its institutions, or beside it."""
        for root in (self.folder / "home", self.folder / "home" / "institutions", self.folder):
            found = sorted(root.glob(pattern))
            if found:
                return found[0]
        raise LookupError(pattern)

    def charged(self) -> dict[str, float]:
        """mu squared ever charged, by institution, from ledgers that can be read."""
        out = {}
        for name in ("bank", "tax", "power"):
            file = self.folder / "home" / "institutions" / name / "ledger.sqlite"
            try:
                with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as db:
                    rows = db.execute("select mu2 from account where scope = 'lifetime'").fetchall()
                out[name] = rows[0][0] if rows else 0.0
            except sqlite3.Error:
                continue
        return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_writer: Callable[..., Any]) -> Iterator[Built]:
    """Run once; copied for each case."""
    from fedrisk import api

    folder = tmp_path_factory.mktemp("whole") / "own"
    tiny = tiny_writer(folder / "consortium", enterprises=300)
    for path in tiny.paths.values():
        path.write_text(path.read_text().replace("cap_epsilon = 20.0", "cap_epsilon = 90.0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDRISK_HOME", str(folder / "home"))
        without_plots(patch)
        api.run(tiny.study_file, ["privacy.epsilon=2"], out=folder / "results")
    (attempt,) = [f for f in (folder / "home" / "hub" / "runs").iterdir() if f.is_dir()]
    (folder / "kept_attempt" / attempt.name).mkdir(parents=True)
    bank = folder / "home" / "institutions" / "bank"
    (bank / "out_of_time.json").write_text("{}")
    (bank / "errors.log").write_text(
        '{"time": "", "attempt": "none", "action": "", "code": "", "text": ""}\n'
    )
    (bank / "pending").mkdir(exist_ok=True)
    (bank / "pending" / "tax@1@voprf").write_bytes(bytes(96))
    shutil.copytree(folder, folder.with_name("kept"))
    yield Built(folder)


@pytest.fixture
def built(whole, tmp_path, monkeypatch) -> Iterator[Built]:
    """The same, brought back afterwards: a store belongs to the place of its table."""
    monkeypatch.setenv("FEDRISK_HOME", str(whole.folder / "home"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    yield whole
    shutil.rmtree(whole.folder)
    shutil.copytree(whole.folder.with_name("kept"), whole.folder)


@pytest.fixture
def call(monkeypatch, capsys, unplotted, one_command_tree):
    """(exit code, standard output, errors) of the installed command."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["fedrisk", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


def reading(built: Built) -> list[tuple[str | Path, ...]]:
    """Commands that charge nothing, over all stores."""
    bank, tax = built.institution("bank"), built.institution("tax")
    power = built.institution("power")
    return [
        ("show", built.folder / "results"),
        ("own", bank),
        ("results", bank, "list"),
        ("results", bank, "show", "--json"),
        ("results", bank, "export", "--to", built.folder / "scores.csv"),
        ("runs",),
        ("runs", "show", built.attempt),
        ("compare", built.attempt, built.folder / "results"),
        ("store", "show", bank),
        *(("model", "list", one) for one in (bank, tax)),
        *(("budget", one) for one in (bank, tax, power)),
        *(("audit", "verify", one) for one in (bank, tax)),
        ("audit", "show", bank),
        ("audit", "export", bank, "--to", built.folder / "handed"),
        ("meter", bank),
        ("meter", tax, "--csv"),
        ("quota", tax, "bank"),
        ("policy", "check", bank, built.study, *SET),
        ("check", built.study, *SET),
    ]


def examine(built: Built, arguments, code: int, out: str, err: str, file: Path) -> list[str]:
    """What is wrong with how a command ended."""
    said = " ".join(map(str, arguments[:3]))
    found = []
    if "Traceback" in out + err or re.search(
        r"\b(ValidationError|JSONDecodeError|ArrowInvalid|KeyError)\b", out + err
    ):
        found.append(f"{said}: {err[-400:]}")
    if code not in EXIT_CODES or code in (2, 10):
        found.append(f"{said}: exit {code}: {err[-400:]}")
    logs = built.folder / "home" / "logs"
    if logs.exists():
        text = "\n".join(log.read_text()[-1500:] for log in logs.glob("*.log"))
        found.append(f"{said}: not foreseen: {err[-300:]}\n{text}")
        shutil.rmtree(logs)
    # Without any figures there is no study to show, whatever was there before.
    if code >= 3 and "keeps figures of no study" not in err:
        names = (file.name, str(file.parent), file.parent.name)
        if not any(name in err for name in names):
            found.append(f"{said}: names no file: {err[-400:]}")
        if ";" not in err and "," not in err:
            found.append(f"{said}: no remedy: {err[-400:]}")
    return found


def damaged(built: Built, pattern: str, damage: str) -> Path:
    if damage == "unreadable" and os.geteuid() == 0:
        pytest.skip("a superuser reads everything")
    file = built.find(pattern)
    DAMAGES[damage](file)
    return file


def sampled(sample):
    """All cases; those outside the sample are for make damage."""
    return [
        pytest.param(*case, marks=() if case in sample else pytest.mark.damage, id="-".join(case))
        for case in CASES
    ]


@pytest.mark.parametrize(("pattern", "damage"), sampled(READ))
def test_commands_that_read(built, call, pattern, damage):
    file = damaged(built, pattern, damage)
    found = []
    for arguments in reading(built):
        found += examine(built, arguments, *call(*arguments), file)
    assert not found, "\n---\n".join(found)


@pytest.mark.parametrize(
    ("pattern", "damage"), [p for p in sampled(RUN) if not p.values[0].startswith("results/")]
)
def test_a_run_charges_nobody_without_a_result(built, call, monkeypatch, pattern, damage):
    """Own models are left out: they take most of the time, and read no store."""
    monkeypatch.setattr("fedrisk.recipes.scorecard.delivery._own", lambda *a, **k: None, raising=False)
    file = damaged(built, pattern, damage)
    before = built.charged()
    arguments = ("run", built.study, "--out", built.folder / "again", "--again", *SET)
    code, out, err = call(*arguments)
    found = examine(built, arguments, code, out, err, file)
    after = built.charged()
    if code:
        paid = [name for name in after if after[name] > before.get(name, after[name])]
        if paid:
            found.append(f"charged without a result: {paid}: {err[-600:]}")
    else:
        results = built.folder / "home" / "institutions" / "bank" / "results"
        if len(list(results.glob("*/scores.parquet"))) < 2 and "results/" not in pattern:
            found.append("a run that ended well left no scores")
        if not (built.folder / "again" / "metrics.json").exists():
            found.append("a run that ended well left no results")
    assert not found, "\n---\n".join(found)
