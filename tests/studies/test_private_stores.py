"""Stores after a whole study: folders and files for their owner only, whatever umask and folders were before."""

import os
import stat

import pytest

from fedrisk.engine.in_process import run_local

pytestmark = pytest.mark.study


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder):
    """Paths that others may use, with their modes."""
    return {
        str(p.relative_to(folder)): oct(p.stat().st_mode)
        for p in [folder, *folder.rglob("*")]
        if stat.S_IMODE(p.stat().st_mode) & 0o077
    }


@pytest.mark.parametrize("recipe", ["scorecard", "network"])
def test_everything_in_the_stores_is_the_owners_alone(kit, tmp_path, open_umask, recipe):
    if recipe == "network":
        pytest.importorskip("torch")
    banks, holders = (("alfa", "beta"), ()) if recipe == "network" else (("alfa",), ("tax",))
    consortium = kit.build(tmp_path, banks, holders, enterprises=400, policy={"recipes": [recipe]})
    study = consortium.study
    if recipe == "network":
        study = consortium.with_study(recipe="network", training={"steps": 2})
    for name in (*consortium.content, "hub"):
        (tmp_path / "home" / name).mkdir(parents=True)
        (tmp_path / "home" / name).chmod(0o755)
    run_local(study, consortium.paths, hub=consortium.hub)
    for name in (*consortium.content, "hub"):
        store = tmp_path / "home" / name
        assert open_to_others(store) == {}
    kept = {p.name for p in (tmp_path / "home" / "alfa").rglob("*")}
    wanted = {"audit.jsonl", "audit.jsonl.head", "ledger.sqlite", "ledger.seal", ".lock", "scores.parquet"}
    assert wanted <= kept and len(kept) > 30
