"""A PostgreSQL server of one's own below a temporary folder, from Debian's package: for the demo and for tests.

It listens on loopback and asks for a password (SCRAM). As a child of the process that made it, it ends with it.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sim_institutions.processes import die_with_parent

USER, DATABASE = "fedrisk", "postgres"


class Unavailable(Exception):
    """Why there can be no server on this machine."""


@dataclass(frozen=True)
class Server:
    """A running server: its port on loopback and the password of its user."""

    port: int
    password: str

    @property
    def address(self) -> str:
        """SQLAlchemy URL without the password."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def url(self) -> str:
        """SQLAlchemy URL with the password."""
        return self.address.replace(f"{USER}@", f"{USER}:{quote(self.password, safe='')}@")


def find(name: str) -> str:
    """Path of one of the server's programs, on PATH or where Debian puts them; Unavailable."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    folders += [str(p) for p in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise Unavailable(f"PostgreSQL is not installed: no {name} on PATH or in /usr/lib/postgresql/*/bin")
    return os.path.realpath(found)


def _other_user() -> Any:
    """The server refuses to run as root: a user without rights, or None where we are one ourselves; Unavailable."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Unavailable("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


@contextlib.contextmanager
def running(password: str | None = None) -> Iterator[Server]:
    """An empty server, stopped and deleted at the end of the block; Unavailable where it cannot be had."""
    initdb, postgres, user = find("initdb"), find("postgres"), _other_user()
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise Unavailable("psycopg is not installed: pip install 'psycopg[binary]'") from None
    # Short: a socket's path has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="fedrisk-pg-", dir="/tmp"))
    try:
        password = password or secrets.token_hex(16)
        (folder / "password").write_text(password)
        for path in (folder, folder / "password"):
            path.chmod(0o700 if path.is_dir() else 0o600)
            if user is not None:
                os.chown(path, user.pw_uid, user.pw_gid)
        how: dict[str, Any] = {
            "cwd": folder,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "env": {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)},
        }
        if user is not None:
            how |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        made = [initdb, "-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile=password", "-E", "UTF8"]
        subprocess.run([*made, "--no-sync"], check=True, timeout=120, **how)
        server = Server(_free_port(), password)
        options = [
            "-p",
            str(server.port),
            "-k",
            str(folder),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
        ]
        process = subprocess.Popen([postgres, "-D", "data", *options], preexec_fn=die_with_parent, **how)
        try:
            _wait_for(server, process)
            yield server
        finally:
            # A fast shutdown: connections end.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    for _ in range(300):
        if process.poll() is not None:
            raise Unavailable(f"PostgreSQL did not start: its exit code is {process.returncode}")
        try:
            where = {"host": "127.0.0.1", "port": server.port, "user": USER, "dbname": DATABASE}
            psycopg.connect(**where, password=server.password, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise Unavailable("PostgreSQL did not answer within 30 seconds")
