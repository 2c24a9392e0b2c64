"""The Redis layer over TLS: `rediss://` to a server with a certificate of an authority that the test makes."""

from __future__ import annotations

import datetime
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from roomful import Event, LayerAway, LayerError, Producer
from roomful.core.policies import Retention

from .scenes import ROOM, Scene, scene, until
from .servers import BINARIES, Server

KEEP = Retention(events=100, max_bytes=1_000_000, ttl_s=60)


@dataclass(frozen=True)
class Secured:
    """A server that speaks TLS alone, and the certificates that belong to it.

    Attributes:
        port: Where it listens.
        authority: The certificate of who has signed the server's and the client's.
        client: The client's certificate, with its key.
        stranger: The certificate of another authority.
    """

    port: int
    authority: Path
    client: Path
    stranger: Path

    def url(self, host: str = "localhost", **options: object) -> str:
        """Return the URL of a layer that shows its certificate, and shares its rooms with none before it."""
        known = {
            "prefix": secrets.token_hex(8),
            "ssl_ca_certs": self.authority,
            "ssl_certfile": self.client,
            "ssl_keyfile": self.client,
        }
        query = "&".join(f"{name}={value}" for name, value in (known | options).items() if value)
        return f"rediss://{host}:{self.port}?{query}"


@dataclass(frozen=True)
class Issuer:
    """Somebody who signs certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str) -> Issuer:
        key = ec.generate_private_key(ec.SECP256R1())
        who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = _draft(who, who, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        return cls(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)

    def issue(self, path: Path, host: str) -> Path:
        """Write a certificate for a host, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        draft = _draft(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), self.certificate.subject, key
        )
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        signed = draft.add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        return path

    def write(self, path: Path) -> Path:
        """Write its own certificate."""
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


def _draft(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if "redis" not in BINARIES:
        pytest.skip("Debian's Redis speaks TLS; it is not installed")
    folder = tmp_path_factory.mktemp("tls")
    issuer = Issuer.make("authority of the test")
    authority = issuer.write(folder / "authority.pem")
    own = issuer.issue(folder / "server.pem", "localhost")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    options = [
        "--tls-port",
        port,
        "--tls-cert-file",
        own,
        "--tls-key-file",
        own,
        "--tls-ca-cert-file",
        authority,
    ]
    with Server(BINARIES["redis"], *map(str, options)):
        yield Secured(
            port,
            authority,
            issuer.issue(folder / "client.pem", "client"),
            Issuer.make("somebody else").write(folder / "stranger.pem"),
        )


async def test_events_travel_over_tls(secured: Secured) -> None:
    """Both ways, and what is larger than a record of TLS too."""
    url = secured.url()
    async with scene(url) as one, scene(url) as other:
        await one.layer.attach(ROOM)
        large = bytes(100_000)
        for payload in (b"small", large):
            await other.push(payload, keep=KEEP)
        await until(lambda: len(one.delivered) == 2)

    assert one.payloads == [b"small", large]


async def test_connection_over_tls_that_is_cut_is_made_again(secured: Secured) -> None:
    """What was pushed meanwhile arrives once."""
    async with scene(secured.url()) as one:
        await one.layer.attach(ROOM)
        push = one.push(b"first", keep=KEEP)
        one.cut()
        await push
        await one.push(b"second", keep=KEEP)
        await until(lambda: len(one.delivered) == 2)

    assert one.payloads == [b"first", b"second"]


def test_producer_without_a_loop_pushes_over_tls(secured: Secured) -> None:
    """Through redis-py, by the same URL."""
    with Producer(secured.url()) as producer:
        first = producer.push("room", Event("post", 1))
        second = producer.push("room", Event("post", 2))

    assert second.position.offset == first.position.offset + 1


@pytest.mark.parametrize(
    ("host", "options", "said"),
    [
        ("localhost", {"ssl_ca_certs": "stranger"}, "CERTIFICATE_VERIFY_FAILED"),
        ("127.0.0.1", {}, "IP address mismatch"),
        ("localhost", {"ssl_certfile": "", "ssl_keyfile": ""}, "ended the connection.*CERTIFICATE_REQUIRED"),
    ],
    ids=["stranger", "other host", "no certificate of its own"],
)
async def test_wrong_certificate_is_refused_and_said(
    secured: Secured, host: str, options: dict[str, str], said: str
) -> None:
    """An authority that is not trusted, a name that is not the certificate's, a client that shows none."""
    named = {name: getattr(secured, value) if value else value for name, value in options.items()}
    with pytest.raises(LayerError, match=said):
        await Scene(secured.url(host, **named)).start()


async def test_checks_may_be_turned_off(secured: Secured) -> None:
    """For the name alone, or altogether."""
    for options in ({"ssl_check_hostname": "false"}, {"ssl_cert_reqs": "none", "ssl_ca_certs": ""}):
        async with scene(secured.url("127.0.0.1", **options)) as one:
            await one.push()


async def test_url_with_an_s_too_few_is_refused(secured: Secured) -> None:
    """At once, and with the address that was tried."""
    with pytest.raises(LayerAway, match=f"redis://localhost:{secured.port}/0 has ended the connection"):
        await Scene(f"redis://localhost:{secured.port}").start()
