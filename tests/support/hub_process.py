"""A hub that serves in a process of its own, for tests, with a certificate authority made on the spot."""

import contextlib
import datetime
import ipaddress
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fedrisk.deploy.hub_home import HubHome
from fedrisk.engine.superlink_nodes import nodes
from fedrisk.errors import ConfigError

SERVE = """
import sys
from fedrisk.deploy.hub_home import HubHome
from fedrisk.engine.hub_serve import serve
serve(HubHome.load(sys.argv[1]), ready=lambda: print("ready", flush=True), work=sys.argv[2:])
"""
IDLE = [sys.executable, "-c", "import time; time.sleep(3600)"]


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def new_key() -> tuple[ec.EllipticCurvePrivateKey, str]:
    """A node's key, and its public part as OpenSSH writes it."""
    key = ec.generate_private_key(ec.SECP384R1())
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return key, key.public_key().public_bytes(*form).decode()


def hub_home(folder: Path, *, days: tuple[float, float] = (-1.0, 30.0)) -> HubHome:
    """A hub's folder on a free port with certificates that hold from and until so many days from now."""
    address = f"127.0.0.1:{free_port()}"
    home = HubHome.create(folder, {"name": "Test", "address": address, "listen": address})
    now = datetime.datetime.now(datetime.UTC)
    begin, end = (now + datetime.timedelta(days=d) for d in days)
    above, name = ec.generate_private_key(ec.SECP384R1()), _name("test CA")
    ca = _certificate(
        name, name, above, above, now - datetime.timedelta(days=9), now + datetime.timedelta(days=99), ca=True
    )
    (home.path / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    key = ec.generate_private_key(ec.SECP384R1())
    own = _certificate(_name("hub"), name, key, above, begin, end, ca=False)
    (home.path / "server.pem").write_bytes(own.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (home.path / "server.key").write_bytes(private)
    return home


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject, issuer, key, signer, begin, end, *, ca):
    alternative = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, 0 if ca else None), True)
        .add_extension(x509.SubjectAlternativeName(alternative), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(signer, hashes.SHA384())
    )


@contextlib.contextmanager
def serving(home: HubHome, work=IDLE):
    """The process, once nodes can connect; stopped at the end."""
    with (home.path / "serve.out").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(home.path), *work],
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
    try:
        wait_for(lambda: process.poll() is not None or _answers(home), 60)
        if process.poll() is not None:
            raise AssertionError((home.path / "serve.out").read_text())
        yield process
    finally:
        process.terminate()
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(home: HubHome) -> bool:
    with contextlib.suppress(OSError, ConfigError):
        # The hub is asked once it has said that it is ready: a question takes longer than a look at a file.
        return "ready" in (home.path / "serve.out").read_text() and nodes(home.path) is not None
    return False


def wait_for(condition, seconds: float) -> None:
    """Wait until a condition holds; AssertionError where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.05)
