"""A real SuperLink on loopback with TLS and node keys, started by Flower's own command, and what a hub does with it."""

import contextlib
import datetime
import io
import ipaddress
import os
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from flwr.common.serde import run_from_proto
from flwr.proto.control_pb2 import RegisterNodeRequest, StartRunRequest, UnregisterNodeRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid.http_grid import HttpGrid

from fedrisk.protocol.payload import request

STUB = """[project]
name = "stub"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "fedrisk"
[tool.flwr.app.components]
serverapp = "a:b"
clientapp = "a:b"
[tool.flwr.app.config]
study = ""
"""


def new_key(file):
    """Make a P-384 key in a file, as a node has it."""
    key = ec.generate_private_key(ec.SECP384R1())
    file.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, s.NoEncryption()))
    return key.public_key()


class Authority:
    """A certificate authority that makes certificates for 127.0.0.1."""

    def __init__(self, folder: Path, name: str = "ca"):
        self.folder, self._key = folder, ec.generate_private_key(ec.SECP384R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        made = (
            self._draft(self._name, self._key, -2, 365)
            .add_extension(x509.BasicConstraints(True, 0), True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
        )
        self.file.write_bytes(made.sign(self._key, hashes.SHA384()).public_bytes(s.Encoding.PEM))

    def server(self, name, *, begin=-1.0, end=90.0, host="127.0.0.1"):
        """Paths of certificate and key; begin, end: days from now."""
        key = ec.generate_private_key(ec.SECP384R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
        names = [x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)]
        made = (
            self._draft(subject, key, begin, end)
            .add_extension(x509.SubjectAlternativeName(names), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        )
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(made.sign(self._key, hashes.SHA384()).public_bytes(s.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, s.NoEncryption())
        )
        return certificate, private

    def _draft(self, subject, key, begin, end):
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begin))
            .not_valid_after(now + datetime.timedelta(days=end))
        )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class SuperLink:
    """Flower's SuperLink as a process; its database outlives it."""

    def __init__(self, folder: Path):
        self.folder, self.authority = folder, Authority(folder)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._certificate = self.authority.server("server")
        self._process = None

    def start(self):
        """Start it, and wait until it answers."""
        certificate, key = self._certificate
        command = [
            *(
                sys.executable,
                "-c",
                "from flwr.superlink.cli.flower_superlink import flower_superlink as f; f()",
            ),
            *("--ssl-certfile", certificate, "--ssl-keyfile", key, "--ssl-ca-certfile", self.authority.file),
            *(
                "--isolation",
                "process",
                "--enable-supernode-auth",
                "--disable-runtime-dependency-installation",
            ),
            *("--database", self.folder / "flower.sqlite", "--host", "127.0.0.1", "--port", str(self.port)),
        ]
        environment = {
            **os.environ,
            "FLWR_HOME": str(self.folder / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
        }
        with (self.folder / "superlink.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(c) for c in command], env=environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self.folder / "superlink.log").read_text()[-2000:]
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.1)
        raise AssertionError("the SuperLink did not start")

    def kill(self):
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _control(self):
        return ControlHttpClient(
            f"https://{self.address}",
            interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
            verify=str(self.authority.file),
        )

    def register(self, name, public):
        """Let a node in; Flower's number of it."""
        pem = public.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
        with self._control() as control:
            return control.RegisterNode(RegisterNodeRequest(public_key=pem, name=name)).node_id

    def unregister(self, number):
        with self._control() as control:
            control.UnregisterNode(UnregisterNodeRequest(node_id=number))

    def grid(self):
        """A grid of a new run, as a hub has it."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("pyproject.toml", STUB)
        with self._control() as control:
            assert control.StartRun(StartRunRequest(fab=Fab(hash_str="", content=buffer.getvalue()))).run_id
        pem = self.authority.file.read_bytes()
        tasks = RuntimeHttpClient.from_server_address(
            server_address=self.address,
            insecure=False,
            root_certificates=pem,
            interceptors=[RuntimeVersionHttpInterceptor(component_name="SuperExec")],
            retry_invoker=make_simple_http_retry_invoker(),
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            got = tasks.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP.value]))
            if got.HasField("task") and got.token:
                return _of_task(HttpGrid(self.address, False, pem, token=got.token))
            time.sleep(0.1)
        raise AssertionError("no task for the run")


def _of_task(grid):
    """A grid that speaks for its task; one a process, since Flower keeps who a message is from in one place."""
    given = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.task_id, TaskIdentity.run_id = given.task_id, given.run.run_id
    TaskIdentity.node_id = given.context.node_id
    grid.set_run(run_from_proto(given.run))
    return grid


def ask(grid, node, payload, action="describe", *, timeout=60.0):
    """The answer of one node to a payload; None where none came."""
    found = [i for i in grid.push_messages([request(payload, action, node, ttl=600.0)]) if i]
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for answer in grid.pull_messages(found):
            return answer
        time.sleep(0.1)
    return None
