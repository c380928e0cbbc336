"""Who may take a claim back: the folder that held it a moment ago and did not give it back, and nobody else."""

import os
import shutil
import time

import pytest

from fedrisk.engine.claim import LAPSE, Claim


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "node").mkdir()
    Claim(tmp_path / "node" / "claim").take(2**63 + 5)
    return tmp_path / "node"


def test_a_killed_process_leaves_a_claim_that_its_folder_takes_back(folder):
    left = Claim(folder / "claim")
    assert left.node == 2**63 + 5
    assert left.is_own_and_fresh


def test_a_claim_that_was_given_back_is_nobodys(folder):
    Claim(folder / "claim").release()
    left = Claim(folder / "claim")
    assert left.node == 2**63 + 5
    assert not left.is_own_and_fresh


def test_a_copy_of_the_folder_takes_nothing(folder):
    shutil.copytree(folder, folder.with_name("copy"))
    assert not Claim(folder.with_name("copy") / "claim").is_own_and_fresh


def test_a_claim_that_the_hub_has_given_up_is_not_taken(folder):
    """Whoever is connected after that time is somebody else."""
    old = time.time() - LAPSE - 10
    os.utime(folder / "claim", (old, old))
    assert not Claim(folder / "claim").is_own_and_fresh
    Claim(folder / "claim").touch()
    assert Claim(folder / "claim").is_own_and_fresh


@pytest.mark.parametrize(
    "content", [b"", b"7", b"{}", b"[]", b'{"node": "x", "place": 1, "released": 0}', b"\xff"]
)
def test_rubbish_is_no_claim(folder, content):
    (folder / "claim").write_bytes(content)
    left = Claim(folder / "claim")
    assert left.node is None
    assert not left.is_own_and_fresh
    left.take(3)
    assert Claim(folder / "claim").node == 3


def test_a_claim_is_for_its_owner_only(folder):
    assert (folder / "claim").stat().st_mode & 0o777 == 0o600
