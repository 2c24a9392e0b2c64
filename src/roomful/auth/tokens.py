"""Tokens: which JWT holds, and who it says that it is (RFC 7519, RFC 8725).

`PyJWT` checks signatures and claims; this module decides which keys and algorithms it may use, and turns whatever can
be wrong with a text into `NotAuthenticated`. It knows no handshake.
"""

from __future__ import annotations

import math
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import jwt
from jwt.algorithms import HMACAlgorithm

from ..core.access import Principal
from ..core.errors import NotAuthenticated, Refuse

__all__ = ("ALGORITHMS", "MAX_TOKEN_BYTES", "Key", "KeySource", "Tokens", "algorithm_family")

Key: TypeAlias = Any
"""What PyJWT takes as a key: a secret, PEM, or a key object of `cryptography`."""

MAX_TOKEN_BYTES: Final = 8 * 1024
"""Longest token that is looked at; a line of a handshake's head may be no longer either."""

ALGORITHMS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), "oct"),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""Each algorithm that may be allowed, with the family of its keys (`kty` of RFC 7517)."""

_WHY: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not_yet_valid"),
    (jwt.InvalidAudienceError, "wrong_audience"),
    (jwt.InvalidIssuerError, "wrong_issuer"),
    (jwt.MissingRequiredClaimError, "missing_claim"),
    (jwt.InvalidAlgorithmError, "wrong_algorithm"),
    (jwt.InvalidSignatureError, "bad_signature"),
)


class KeySource(Protocol):
    """Where keys come from that change while the program runs."""

    async def find(self, kid: str | None, algorithm: str) -> Key:
        """Return the key that a token names.

        Raises:
            NotAuthenticated: There is none.
            Refuse: The keys cannot be had now.
        """


class Tokens:
    """Judges tokens.

    Args:
        key: A secret or PEM; several of them by their `kid`; or a source of keys, such as `Jwks`.
        algorithms: Those that are allowed, all of one family: `HS…`, `RS…` and `PS…`, `ES…` or `EdDSA`. What a token
            says of itself only chooses among them.
        issuer: The `iss`, or several, of which one must be there.
        audience: The `aud`, or several, of which one must be there. Without, a token that has one does not hold.
        leeway_s: By how much clocks may differ.
        required: Claims that must be there.
        id_claim: Which claim is the principal's id: text, or a whole number.

    Raises:
        ValueError: An algorithm is not known, families are mixed, or a key cannot be one for these algorithms.
    """

    __slots__ = ("_algorithms", "_audience", "_id_claim", "_issuer", "_key", "_keys", "_leeway_s", "_options")

    def __init__(
        self,
        *,
        key: Key | Mapping[str, Key] | KeySource,
        algorithms: Iterable[str],
        issuer: str | Sequence[str] | None = None,
        audience: str | Iterable[str] | None = None,
        leeway_s: float = 0.0,
        required: Iterable[str] = ("exp",),
        id_claim: str = "sub",
    ) -> None:
        self._algorithms = () if isinstance(algorithms, str) else tuple(algorithms)
        family = algorithm_family(self._algorithms)
        # One key needs no look at what a token says of its own.
        self._key: Key = None
        self._keys: KeySource | None = None
        if not isinstance(key, (str, bytes, Mapping)) and hasattr(key, "find"):
            if family == "oct":
                raise ValueError("keys of a source are public; algorithms of the family HS need a secret")
            self._keys = key
        elif isinstance(key, Mapping):
            self._keys = _FixedKeys({kid: _checked(one, self._algorithms) for kid, one in key.items()})
        else:
            self._key = _checked(key, self._algorithms)
            if family == "oct" and len(self._algorithms) == 1:
                self._key = _ready(self._key, self._algorithms[0])
        self._issuer = issuer
        self._audience = audience
        self._leeway_s = leeway_s
        self._id_claim = id_claim
        self._options: dict[str, Any] = {
            "require": sorted({id_claim, *required}),
            # Whoever names another claim lets `sub` be what it is.
            "verify_sub": id_claim == "sub",
            "enforce_minimum_key_length": True,
        }

    def __repr__(self) -> str:
        return f"<Tokens {'/'.join(self._algorithms)}>"

    @property
    def never_waits(self) -> bool:
        """Whether the keys are there, so that `verify` returns at once."""
        return self._keys is None or isinstance(self._keys, _FixedKeys)

    async def verify(self, token: str) -> Principal:
        """Return who a token says that it is.

        Raises:
            NotAuthenticated: It does not hold; whatever the text, nothing else is raised for it.
            Refuse: The keys cannot be had now.
        """
        try:
            if len(token) > MAX_TOKEN_BYTES or not token.isascii():
                raise NotAuthenticated("malformed")
            claims = jwt.decode(
                token,
                self._key if self._keys is None else await self._find_key(self._keys, token),
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway_s,
                options=self._options,  # type: ignore[arg-type] # a dict of options that are set
            )
            return self._principal(claims)
        except (NotAuthenticated, Refuse):
            raise
        except Exception as error:  # noqa: BLE001 -- numbers without end, nesting: no text may end the middleware
            # Its own text and its cause may show parts of the token, so neither is kept.
            why = next((why for kind, why in _WHY if isinstance(error, kind)), "malformed")
        raise NotAuthenticated(why, "token is expired" if why == "expired" else "token is not valid")

    async def _find_key(self, keys: KeySource, token: str) -> Key:
        # Not verified yet: it only chooses among what is allowed.
        header = jwt.get_unverified_header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._algorithms:
            raise NotAuthenticated("wrong_algorithm", "token is not valid")
        return await keys.find(kid if isinstance(kid, str) else None, algorithm)

    def _principal(self, claims: dict[str, Any]) -> Principal:
        id_, expires_at = claims[self._id_claim], claims.get("exp")
        if isinstance(id_, int) and not isinstance(id_, bool):
            id_ = str(id_)
        if not id_ or not isinstance(id_, str):
            raise NotAuthenticated("bad_id", "token is not valid")
        if expires_at is not None:
            expires_at = float(expires_at) + self._leeway_s
            if not math.isfinite(expires_at):
                raise NotAuthenticated("malformed", "token is not valid")
        return Principal(id_, MappingProxyType(claims), expires_at)


class _FixedKeys:
    """Keys that are known from the start, by their names."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, Key]) -> None:
        if not keys:
            raise ValueError("key is an empty mapping; expected at least one key")
        self._keys = dict(keys)

    async def find(self, kid: str | None, algorithm: str) -> Key:
        """Return the key that is named."""
        del algorithm
        if kid is None or kid not in self._keys:
            raise NotAuthenticated("unknown_key", "token is not valid")
        return self._keys[kid]


class _Ready(HMACAlgorithm):
    """HMAC with a secret that has been checked: PyJWT asks of each token anew whether the secret is a certificate.

    That is more than a quarter of what a token costs.
    """

    def prepare_key(self, key: str | bytes) -> bytes:
        """Return the secret as it is; it was prepared when the program started."""
        assert isinstance(key, bytes)  # PyJWK decodes it
        return key


def algorithm_family(algorithms: Sequence[str]) -> str:
    """Return the family of keys that these algorithms use.

    Raises:
        ValueError: One is not known, `none` included, or there are two families: a key of one must never be read as one
            of the other (RFC 8725 §2.1).
    """
    if not algorithms:
        raise ValueError("algorithms is empty or a text; expected a list such as ['HS256']")
    unknown = [name for name in algorithms if name not in ALGORITHMS]
    if unknown:
        raise ValueError(f"algorithm {unknown[0]!r} is not known; expected {', '.join(ALGORITHMS)}")
    families = {ALGORITHMS[name] for name in algorithms}
    if len(families) > 1:
        raise ValueError(f"algorithms {', '.join(algorithms)} mix families of keys; allow those of one")
    return families.pop()


def _checked(key: Key, algorithms: Iterable[str]) -> Key:
    """Return a key made ready, so that PEM is not read again for each token."""
    prepared: Key = None
    for name in algorithms:
        algorithm = jwt.get_algorithm_by_name(name)
        try:
            prepared = algorithm.prepare_key(key)
            problem = algorithm.check_key_length(prepared)
        except Exception as error:  # noqa: BLE001 -- whatever `cryptography` raises for what is no key
            # The cause may show the key.
            problem = f"it is none ({type(error).__name__})"
        if problem:
            is_secret = isinstance(algorithm, HMACAlgorithm)
            expected = "a secret of at least as many bytes as the hash" if is_secret else "PEM"
            raise ValueError(f"key does not fit {name}; expected {expected} (RFC 7518 §3)") from None
    return prepared


def _ready(secret: bytes, name: str) -> jwt.PyJWK:
    """Return a checked secret, bound to its algorithm, in the shape that PyJWT takes for a key that is ready."""
    key = jwt.PyJWK({"kty": "oct", "k": urlsafe_b64encode(secret).decode()}, algorithm=name)
    algorithm = jwt.get_algorithm_by_name(name)
    assert isinstance(algorithm, HMACAlgorithm)  # of the family `oct`
    key.Algorithm = _Ready(algorithm.hash_alg)
    return key
