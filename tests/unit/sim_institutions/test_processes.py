"""Whatever is started is ended, its children too, however the one who started it ends."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from sim_institutions import processes
from sim_institutions.processes import Failed, Machine, free_ports, wait_until


@pytest.fixture(autouse=True)
def program(monkeypatch):
    """Python itself in place of fedrisk: what is tested is how processes begin and end."""
    monkeypatch.setattr(processes, "PROGRAM", (sys.executable,))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def test_a_command_is_shown_and_its_end_is_told(tmp_path):
    shown = []
    machine = Machine("bank", tmp_path / "bank", {"X": "1"}, lambda m, text: shown.append((m.name, text)))
    done = machine.run("-c", "import os, sys; print(input(), os.environ['X'], os.getcwd())", typed="yes\n")
    assert done.out.split() == ["yes", "1", str(tmp_path / "bank")]
    assert shown[0][0] == "bank" and shown[0][1].startswith("fedrisk -c 'import os")
    with pytest.raises(Failed, match="exit code 3\nwhy") as error:
        machine.run("-c", "import sys; print('why'); sys.exit(3)")
    assert error.value.code == 3
    assert machine.run("-c", "import sys; sys.exit(3)", codes=(0, 3)).code == 3


def test_settings_of_this_process_do_not_reach_a_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDRISK_NODE", "elsewhere")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    found = Machine("bank", tmp_path).environment
    assert not {"FEDRISK_NODE", "NOTIFY_SOCKET"} & found.keys()
    assert found["FEDRISK_HOME"] == str(tmp_path / "home")


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_service_that_does_not_listen_is_killed_with_its_children(tmp_path):
    machine = Machine("hub", tmp_path)
    service = machine.start("-c", STUBBORN)
    wait_until("a child", lambda: bool(service.said().strip()), service)
    child = int(service.said())
    assert service.running and alive(child)
    machine.stop(patience=0.2)
    wait_until("the child's end", lambda: not alive(child), seconds=5)
    assert service.process.returncode == -signal.SIGKILL


def test_a_service_that_ended_says_what_it_said(tmp_path):
    service = Machine("hub", tmp_path).start("-c", "print('no such file'); raise SystemExit(3)")
    with pytest.raises(Failed, match="exit code 3\nno such file"):
        wait_until("never", lambda: False, service)


def test_services_end_with_whoever_started_them(tmp_path):
    text = f"""
        import os, sys
        sys.path.insert(0, {str(Path(processes.__file__).parents[1])!r})
        from pathlib import Path
        from sim_institutions import processes
        processes.PROGRAM = (sys.executable,)
        service = processes.Machine("x", Path({str(tmp_path)!r})).start("-c", "import time; time.sleep(600)")
        print(service.process.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    made = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True)
    pid = int(made.stdout)
    for _ in range(100):
        if not alive(pid):
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("a service outlived the process that started it")


def test_ports_differ():
    assert len(set(free_ports(20))) == 20
