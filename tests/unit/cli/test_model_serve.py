"""``fedrisk model serve`` as a process: it says where it answers, answers, and ends when it is told to."""

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.deployed_bank import deployed_bank


@pytest.fixture
def pem(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    files = tmp_path / "bank.pem", tmp_path / "bank.key"
    files[0].write_bytes(built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@pytest.mark.slow
def test_a_bank_serves_over_tls_without_a_hub(
    tmp_path: Path, fedrisk_home: Path, tiny_writer: Callable[..., Any], pem: tuple[Path, Path]
) -> None:
    place = deployed_bank(tmp_path / "place", tiny_writer)
    members = [f"--members={place.paths[name]}" for name in ("tax", "power")]
    command = [
        sys.executable,
        "-m",
        "fedrisk.cli",
        "model",
        "serve",
        str(place.paths["bank"]),
        *members,
        "--port=0",
    ]
    command += ["--json", f"--certificate={pem[0]}", f"--key={pem[1]}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            assert process.stdout is not None
            said = ""
            while "}" not in said:
                said += process.stdout.readline()
            at = json.loads(said)
            address = at["address"].replace("127.0.0.1", "localhost")
            assert address.startswith("https://") and at["grpc"] is None
            study = place.scores.iloc[0]
            asked = urllib.request.Request(
                f"{address}/v1/scores",
                json.dumps({"enterprises": [{"id": study["id"]}]}).encode(),
                {
                    "Authorization": f"Bearer {Path(at['token']).read_text().strip()}",
                    "Content-Type": "application/json",
                },
            )
            context = ssl.create_default_context(cafile=str(pem[0]))
            with urllib.request.urlopen(asked, context=context, timeout=60) as found:
                (answer,) = json.loads(found.read())["answers"]
            assert answer["score"] == study["score"], answer
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def test_other_addresses_need_a_certificate(
    fedrisk: Callable[..., tuple[int, str, str]], write_consortium: Callable[..., Any]
) -> None:
    place = write_consortium()
    code, _, said = fedrisk("model", "serve", place.paths["bank"], "--host", "0.0.0.0", "--port", "0")
    assert code == 3
    assert "token would travel in clear" in said


def test_a_holder_serves_nobody(
    fedrisk: Callable[..., tuple[int, str, str]], write_consortium: Callable[..., Any]
) -> None:
    place = write_consortium()
    code, _, said = fedrisk("model", "serve", place.paths["tax"], "--port", "0")
    assert code == 3
    assert "a bank's node does" in said
