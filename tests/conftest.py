"""A tiny consortium on the disk: one bank, a tax office and a power utility, with their files and a study."""

import csv
import functools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tables: threads only wait for one another

import numpy as np
import pytest

if TYPE_CHECKING:
    from fedrisk.server.results import Results
    from fedrisk.study import Study
    from support.browser import Browser

# Folders of tests are in memory where the machine has room there: stores wait for the disk after every entry.
MEMORY = Path("/dev/shm")
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# Its assertions then say what was compared, as those of test modules do.
pytest.register_assert_rewrite("support")


def pytest_configure(config: pytest.Config) -> None:
    """What is looked at for tests, in the package as well."""
    from support import collecting

    config.pluginmanager.register(collecting)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test that is marked ``sampled(n)``, every n-th case stays, beginning with the first; the rest are ``long``."""
    seen: dict[str, int] = {}
    for item in items:
        mark = item.get_closest_marker("sampled")
        if mark is None:
            continue
        name = item.nodeid.partition("[")[0]
        place = seen[name] = seen.get(name, -1) + 1
        if place % mark.args[0]:
            item.add_marker(pytest.mark.long)


NAMES = ("bank", "tax", "power")

STUDY = """\
name = "tiny"
purpose = "credit_scoring"
institutions = [
    {{ name = "bank", role = "bank" }},
    {{ name = "tax", role = "holder" }},
    {{ name = "power", role = "holder" }},
]

[privacy]
epsilon = {epsilon}

[alignment]
authority = "tax"

[expected]
default_rate = 0.3
"""

HEAD = """\
name = "{name}"
kind = "{kind}"

[table]
source = "../data/{name}.csv"

[policy]
research = {research}
max_epsilon = 8.0
cap_epsilon = 20.0

[dictionary]
id = "id"
id_scheme = "opaque"
"""

COLUMN = """
[[dictionary.columns]]
name = "{name}"
kind = "number"
meaning = "{meaning}"
low = -4.0
high = 4.0
{bins}
"""

LABEL = """
[dictionary.label]
column = "bad"
positive = [1]
negative = [0]
horizon = "default within a year"
selection = "labels exist for borrowers only"
"""

COLUMNS = {
    "bank": (("use", "share of the limit in use"), ("term", "term of the loan")),
    "tax": (("sales", "change of <b>sales</b> & services"), ("gaps", "gaps in filing")),
    "power": (("load", "change of the load"),),
}
PRIVATE_EDGES = ("use", "load")


@dataclass(frozen=True)
class Consortium:
    """Where its files are; ``paths`` by name."""

    folder: Path

    @property
    def study_file(self) -> Path:
        return self.folder / "study.toml"

    @property
    def paths(self) -> dict[str, Path]:
        from fedrisk.institution import find_institutions

        return find_institutions(self.study_file, NAMES)

    def study(self, *overrides: str) -> "Study":
        from fedrisk.recipes import load_study

        return load_study(self.study_file, overrides)


def write_tiny(
    folder: Path, *, enterprises: int = 400, seed: int = 5, epsilon: float = 8.0, research: bool = True
) -> Consortium:
    """Each institution sees noisy shadows of one common risk; holders know four enterprises of five."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=enterprises)
    bad = (risk + 0.5 * rng.normal(size=enterprises) > 0.6).astype(int)
    for sub in ("data", "institutions"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        kind = "bank" if name == "bank" else "holder"
        known = np.arange(enterprises) if kind == "bank" else np.flatnonzero(rng.random(enterprises) < 0.8)
        known = rng.permutation(known)
        names = [column for column, _ in COLUMNS[name]]
        data: dict[str, Any] = {"id": [f"enterprise-{i:05d}" for i in known]}
        for column in names:
            values = 0.8 * risk + 0.6 * rng.normal(size=enterprises)
            data[column] = np.round(np.clip(values, -4, 4), 3)[known].tolist()
        if kind == "bank":
            data["bad"] = bad[known].tolist()
        with (folder / "data" / f"{name}.csv").open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(data)
            writer.writerows(zip(*data.values(), strict=True))
        text = HEAD.format(name=name, kind=kind, research=json.dumps(research))
        for column, meaning in COLUMNS[name]:
            bins = 'grid = "linear"' if column in PRIVATE_EDGES else "bins = [-1.0, 0.0, 1.0]"
            text += COLUMN.format(name=column, meaning=meaning, bins=bins)
        if kind == "bank":
            text += LABEL
        (folder / "institutions" / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "study.toml").write_text(STUDY.format(epsilon=epsilon), encoding="utf-8")
    return Consortium(folder)


@pytest.fixture
def fedrisk_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stores of the test's own."""
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@functools.cache
def _command_tree() -> Callable[[Any], Any]:
    import typer.main

    return functools.cache(typer.main.get_command)


@pytest.fixture
def one_command_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands and options are put together once for all calls in this process, not at each call."""
    monkeypatch.setattr("typer.main.get_command", _command_tree())


@pytest.fixture
def unplotted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without pictures, which are half of what a report takes; tests marked ``plots`` draw them.

    What plots show is in tests/unit/report; here it is about the command that writes the page.
    """
    if request.node.get_closest_marker("plots"):
        return
    from support.unplotted import without_plots

    without_plots(monkeypatch)


@pytest.fixture
def fedrisk(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fedrisk_home: Path,
    tmp_path: Path,
    unplotted: None,
    one_command_tree: None,
) -> Callable[..., tuple[int, str, str]]:
    """Calls the entry point as the installed command does; (exit code, standard output, errors) as plain text."""
    from fedrisk import cli
    from fedrisk.cli import output

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fedrisk", *map(str, arguments)])
        for console in (output.out, output.err):
            monkeypatch.setattr(console, "_width", 200)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in capsys.readouterr())
        assert "Traceback" not in out + err
        return int(stop.value.code or 0), out, err

    monkeypatch.chdir(tmp_path)  # whatever a call writes without a folder of its own
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    return call


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """One headless Chromium for all pages that are looked at; `pages.check` sets its size anew."""
    from support import pages

    yield from pages.one_browser()


@pytest.fixture(scope="session")
def tiny_writer() -> Callable[..., Consortium]:
    """Writes a tiny consortium to a folder."""
    return write_tiny


@pytest.fixture
def quick_own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folds and few rounds for what a bank fits for itself after a study: a fifth of a small study's time."""
    from fedrisk.models.champion import fit_champion

    monkeypatch.setitem(fit_champion.__kwdefaults__, "max_rounds", 10)
    monkeypatch.setattr("fedrisk.models.personal.FOLDS", 2)


@pytest.fixture
def write_consortium(tmp_path: Path, fedrisk_home: Path, quick_own_models: None) -> Callable[..., Consortium]:
    """Writes a tiny consortium of the wanted kind below tmp_path."""
    return lambda **how: write_tiny(tmp_path / "consortium", **how)


@pytest.fixture
def consortium(write_consortium: Callable[..., Consortium]) -> Consortium:
    """The tiny consortium, nothing run yet."""
    return write_consortium()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> "dict[str, Results]":
    """Results of one private and one research run of the tiny consortium; made once, do not change them."""
    from fedrisk.engine.in_process import run_local
    from fedrisk.server.hub import Hub

    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDRISK_HOME", str(folder / "home"))
        tiny = write_tiny(folder / "consortium")
        hub = Hub.default()
        return {
            "private": run_local(tiny.study(), tiny.paths, hub=hub),
            "research": run_local(tiny.study(), tiny.paths, hub=hub, research_seed=3),
        }
