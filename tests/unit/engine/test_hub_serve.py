"""What ``hub serve`` does when it starts, stops and loses its worker, and the sentences where it cannot start."""

import os
import signal
import socket
import sys

import pytest

from fedrisk.engine.hub_serve import alone, check_certificate, host_and_port, serve
from fedrisk.engine.superlink_clients import SOCKET
from fedrisk.engine.superlink_nodes import nodes
from fedrisk.errors import ConfigError
from tests.support.hub_process import hub_home, serving, wait_for

pytestmark = pytest.mark.slow

WORKER = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).open('a').write(f'{os.getpid()} '); time.sleep(3600)"


def pids(file):
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_that_dies_is_started_again_and_ends_with_the_hub(tmp_path):
    home, said = hub_home(tmp_path / "home"), tmp_path / "pids"
    with serving(home, [sys.executable, "-c", WORKER, str(said)]) as process:
        wait_for(lambda: len(pids(said)) == 1, 20)
        os.kill(pids(said)[0], signal.SIGKILL)
        wait_for(lambda: len(pids(said)) == 2, 20)
        assert nodes(home.path) == []
        process.terminate()
        assert process.wait(30) == 0
    assert not any(alive(pid) for pid in pids(said))
    assert not (home.path / SOCKET).exists()


def test_a_killed_hub_leaves_nothing_that_keeps_the_next_from_starting_and_there_is_one_for_a_folder(
    tmp_path,
):
    home = hub_home(tmp_path / "home")
    with serving(home, ["true"]) as process:
        process.kill()
        process.wait()
    assert (home.path / SOCKET).exists()
    with serving(home) as process:
        assert nodes(home.path) == []
        with pytest.raises(ConfigError, match=rf"running already.*process {process.pid}\)"):
            serve(home)


def test_a_lock_is_free_again_after_its_process(tmp_path):
    home = hub_home(tmp_path / "home")
    with (
        alone(home, "work"),
        pytest.raises(ConfigError, match="hub work is running already"),
        alone(home, "work"),
    ):
        pass
    with alone(home, "work"):
        pass


def test_a_port_that_is_taken_is_named_with_the_remedy(tmp_path):
    home = hub_home(tmp_path / "home")
    host, port = host_and_port(home.listen)
    with (
        socket.create_server((host, port)),
        pytest.raises(ConfigError, match=r"cannot be opened: .*set listen in"),
    ):
        serve(home)


@pytest.mark.parametrize(
    ("days", "said"),
    [((-9.0, -1.0), "has expired .*hub renew"), ((1.0, 9.0), "begins to hold .*set the clock")],
)
def test_a_certificate_that_does_not_hold_now_keeps_the_hub_from_starting(tmp_path, days, said):
    home = hub_home(tmp_path / "home", days=days)
    with pytest.raises(ConfigError, match=said):
        serve(home)


def test_a_certificate_without_its_key_is_named(tmp_path):
    home, other = hub_home(tmp_path / "home"), hub_home(tmp_path / "other")
    assert check_certificate(home)
    (home.path / "server.key").write_bytes((other.path / "server.key").read_bytes())
    with pytest.raises(ConfigError, match="cannot be used together"):
        check_certificate(home)
    (home.path / "server.key").unlink()
    with pytest.raises(ConfigError, match=r"server\.key is missing"):
        check_certificate(home)
