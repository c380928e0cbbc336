"""The library libsodium: loaded when it is first asked for, and what is said where it is not there."""

import subprocess
import sys

import pytest

from fedrisk.elliptic import libsodium
from fedrisk.errors import ConfigError


def test_without_any_libsodium_the_remedy_is_named(monkeypatch):
    def nothing():
        raise OSError

    monkeypatch.setattr(libsodium, "_from_rbcl", nothing)
    monkeypatch.setattr(libsodium, "_from_distribution", nothing)
    with pytest.raises(ConfigError, match="rbcl"):
        libsodium.libsodium.__wrapped__()


def test_few_signatures_do_not_load_it_and_many_do():
    program = (
        "import sys; from fedrisk.audit import verify; from fedrisk.elliptic import ed25519\n"
        "def after(): ed25519.signed(b'k' * 32, b's' * 64, b'text'); return 'rbcl' in sys.modules\n"
        "found = [after() for _ in range(ed25519.FEW + 1)]; print(found.index(True) == ed25519.FEW)"
    )
    pytest.importorskip("rbcl")
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True"]
