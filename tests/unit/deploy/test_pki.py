"""The authority and the server's certificate: whom OpenSSL would believe, and until when."""

import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedrisk.deploy import pki
from fedrisk.deploy.keys import new_node_key, node_public, private_pem
from fedrisk.errors import ConfigError, EnvelopeError

KEY, AUTHORITY = pki.new_authority("pilot")


def shake_hands(tmp_path, authorities, key, certificate, host):
    """Whether a client that trusts these authorities believes the server under this name."""
    (tmp_path / "s.key").write_bytes(key)
    (tmp_path / "s.pem").write_bytes(certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "s.pem", tmp_path / "s.key")
    client = ssl.create_default_context(cadata=authorities.decode())
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def answer():
            with contextlib.suppress(OSError):
                server.wrap_socket(theirs, server_side=True).close()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            client.wrap_socket(ours, server_hostname=host)
        finally:
            ours.close()
            thread.join()


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("hub.example:9490", "hub.example"),
        ("10.0.0.5:1", "10.0.0.5"),
        ("[::1]:9", "::1"),
        ("h.x:1", "127.0.0.1"),
    ],
)
def test_a_server_is_believed_under_its_address_and_on_loopback(tmp_path, address, host):
    shake_hands(tmp_path, AUTHORITY, *pki.new_server(KEY, AUTHORITY, address), host)


def test_a_server_is_not_believed_under_another_name_of_another_authority_or_expired(tmp_path):
    key, certificate = pki.new_server(KEY, AUTHORITY, "hub.example:1")
    with pytest.raises(ssl.SSLError, match="(?i)hostname|mismatch"):
        shake_hands(tmp_path, AUTHORITY, key, certificate, "other.example")
    _, foreign = pki.new_authority("pilot")
    with pytest.raises(ssl.SSLError, match="(?i)verify"):
        shake_hands(tmp_path, foreign, key, certificate, "hub.example")
    old = pki.new_server(KEY, AUTHORITY, "hub.example:1", begin=datetime.now(UTC) - timedelta(days=9), days=1)
    with pytest.raises(ssl.SSLError, match="expired"):
        shake_hands(tmp_path, AUTHORITY, *old, "hub.example")


def test_while_two_authorities_are_handed_out_both_servers_are_believed(tmp_path):
    following_key, following = pki.new_authority("pilot")
    both = AUTHORITY + following
    for signer, authority in ((KEY, AUTHORITY), (following_key, following)):
        shake_hands(tmp_path, both, *pki.new_server(signer, authority, "h.x:1"), "h.x")


def test_a_certificate_signs_no_other(tmp_path):
    """The server's key cannot make a certificate that nodes believe."""
    key, certificate = pki.new_server(KEY, AUTHORITY, "h.x:1")
    forged = pki.new_server(key, certificate, "h.x:1")
    with pytest.raises(ssl.SSLError, match="(?i)verify"):
        shake_hands(tmp_path, AUTHORITY, forged[0], forged[1] + certificate, "h.x")


def test_keys_are_p384_and_days_are_counted():
    found = x509.load_pem_x509_certificate(AUTHORITY)
    assert isinstance(found.public_key().curve, ec.SECP384R1)
    assert 1825 < pki.days_left(AUTHORITY) <= 1826
    _, server = pki.new_server(KEY, AUTHORITY, "h.x:1", days=9000)
    assert pki.days_left(server) == pytest.approx(pki.days_left(AUTHORITY), abs=1e-3), (
        "never longer than its authority"
    )
    assert pki.days_left(AUTHORITY, datetime.now(UTC) + timedelta(days=1827)) < 0
    moment = datetime.now(UTC)
    both = AUTHORITY + pki.new_server(KEY, AUTHORITY, "h.x:1", days=3)[1]
    assert pki.days_left(both, moment) == pytest.approx(3, abs=0.01), "the first of them to expire"


def test_expired_authorities_are_left_out_while_another_holds():
    _, old = pki.new_authority("pilot", days=1, begin=datetime.now(UTC) - timedelta(days=5))
    assert pki.in_time(old + AUTHORITY) == AUTHORITY
    assert pki.in_time(old) == old


@pytest.mark.parametrize("content", [b"", b"x", AUTHORITY[:200]])
def test_a_damaged_file_of_certificates_is_named(content):
    with pytest.raises(ConfigError, match="damaged"):
        pki.certificates(content)


def test_a_servers_certificate_is_no_authority():
    _, server = pki.new_server(KEY, AUTHORITY, "h.x:1")
    assert pki.check_authority(AUTHORITY.decode())
    for pem in (server, AUTHORITY + AUTHORITY, AUTHORITY + b"\n"):
        with pytest.raises(ValueError, match="certificate"):
            pki.check_authority(pem.decode())


NODE = new_node_key()
PUBLIC = node_public(NODE)


def test_a_nodes_certificate_is_for_its_key_and_name_alone():
    pem = pki.new_client(KEY, AUTHORITY, "tax", PUBLIC)
    until = pki.check_client(pem, AUTHORITY, "tax", PUBLIC)
    assert until - datetime.now(UTC) == pytest.approx(timedelta(days=90), abs=timedelta(minutes=1))
    found = x509.load_pem_x509_certificate(pem)
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    other = pki.new_authority("pilot")
    old = datetime.now(UTC) - timedelta(days=9)
    wrong = [
        (pem, AUTHORITY, "bank", PUBLIC),
        (pem, AUTHORITY, "tax", node_public(new_node_key())),
        (pem, other[1], "tax", PUBLIC),
        (pki.new_client(*other, "tax", PUBLIC), AUTHORITY, "tax", PUBLIC),
        (pki.new_client(KEY, AUTHORITY, "tax", PUBLIC, days=1, begin=old), AUTHORITY, "tax", PUBLIC),
        (pki.new_server(KEY, AUTHORITY, "h.x:1")[1], AUTHORITY, "fedrisk hub", PUBLIC),
        (pem + pem, AUTHORITY, "tax", PUBLIC),
        (pem[:300], AUTHORITY, "tax", PUBLIC),
        (b"", AUTHORITY, "tax", PUBLIC),
        (pem, b"", "tax", PUBLIC),
    ]
    for case in wrong:
        with pytest.raises(EnvelopeError, match="is not for its key and name"):
            pki.check_client(*case)
    assert pki.check_client(pem, other[1] + AUTHORITY, "tax", PUBLIC) == until


def test_a_nodes_certificate_is_no_servers(tmp_path):
    pem = pki.new_client(KEY, AUTHORITY, "127.0.0.1", PUBLIC)
    with pytest.raises(ssl.SSLError, match="(?i)verify|purpose"):
        shake_hands(tmp_path, AUTHORITY, private_pem(NODE), pem, "127.0.0.1")


def test_a_server_holds_for_the_host_of_its_relay_as_well(tmp_path):
    made = pki.new_server(KEY, AUTHORITY, "hub.example:1", also=("scores.example:2", "[::2]:3"))
    for host in ("hub.example", "scores.example", "::2", "127.0.0.1"):
        shake_hands(tmp_path, AUTHORITY, *made, host)
