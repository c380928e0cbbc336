"""A tiny consortium in real processes, and the same study on one machine to hold it against."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.deployed import Deployed, deployed

ROLES = {"bank": "bank", "tax": "holder", "power": "holder"}
SEED = 3


@pytest.fixture
def start(tmp_path: Path, tiny_writer: Callable[..., Any]) -> Iterator[Callable[..., Deployed]]:
    """Makes a consortium whose processes end with the test; ``change`` is told the folder of tables before."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def make(change: Callable[[Path], Any] = lambda _: None, **how: Any) -> Deployed:
            tables = tiny_writer(tmp_path / "tables", **how).folder
            change(tables)
            return stack.enter_context(deployed(tmp_path / "c", tables, ROLES))

        yield make


@pytest.fixture
def on_one_machine(
    tmp_path: Path, tiny_writer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Runs the same study in this process, with stores of its own; its results."""

    def run(change: Callable[[Path], Any] = lambda _: None, **how: Any) -> Any:
        from fedrisk.engine.in_process import run_local
        from fedrisk.server.hub import Hub

        monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "one_home"))
        tiny = tiny_writer(tmp_path / "one", **how)
        change(tiny.folder)
        return run_local(tiny.study(), tiny.paths, hub=Hub(tmp_path / "one_hub"), research_seed=SEED)

    return run
