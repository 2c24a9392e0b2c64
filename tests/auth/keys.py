"""Keys and tokens of an issuer that the tests play."""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

__all__ = ("ISSUER", "SECRET", "jwk", "pem", "private_key", "token", "unsigned")

SECRET: Final = "a secret of the tests that is long enough for any hash: 0123456789abcdef"
ISSUER: Final = "https://issuer.example"


@cache
def private_key(algorithm: str, name: str = "a") -> Any:
    """Return a key of an issuer, the same for each name."""
    del name
    if algorithm[:2] in ("RS", "PS"):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(
        {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[algorithm]
    )


def pem(algorithm: str, name: str = "a") -> str:
    """Return the public half."""
    return (
        private_key(algorithm, name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def jwk(algorithm: str, name: str = "a", **fields: Any) -> dict[str, Any]:
    """Return the public half as a JWK."""
    algorithm_object = jwt.get_algorithm_by_name(algorithm)
    document = json.loads(algorithm_object.to_jwk(private_key(algorithm, name).public_key()))
    return {**document, "kid": name, "use": "sig", **fields}


def token(
    algorithm: str = "HS256", *, name: str = "a", key: Any = None, headers: Any = None, **claims: Any
) -> str:
    """Return a token that holds for an hour, of `ada`, unless the claims say otherwise; None leaves one out."""
    if key is None:
        key = SECRET if algorithm.startswith("HS") else private_key(algorithm, name)
    payload = {"sub": "ada", "exp": time.time() + 3600, **claims}
    return jwt.encode(
        {claim: value for claim, value in payload.items() if value is not None},
        key,
        algorithm=algorithm,
        headers=headers,
    )


def unsigned(header: Any, payload: Any, signature: bytes = b"") -> str:
    """Return a token that nobody has signed; header and payload may be anything."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))
