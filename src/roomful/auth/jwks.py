"""JWKS: the public keys of an issuer, from a file or an address, as they change (RFC 7517).

It asks for them seldom: at most once in `min_refetch_s`, whatever tokens say, and one question at a time. What a token
says about where its key lies (`jku`, `x5u`, `jwk`) is never looked at.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import jwt

from ..core.errors import NotAuthenticated, Refuse
from .tokens import ALGORITHMS, Key

__all__ = ("Jwks",)

logger: logging.Logger = logging.getLogger("roomful.auth")

_MAX_BYTES: Final = 256 * 1024
_MAX_KEYS: Final = 100
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class _Known:
    """One key of the set."""

    __slots__ = ("algorithm", "family", "key", "kid")

    def __init__(self, kid: str | None, family: str, algorithm: str | None, key: Key) -> None:
        self.kid = kid
        self.family = family
        self.algorithm = algorithm
        self.key = key


class Jwks:
    """Keys by their `kid`. Implements `KeySource`.

    A key that is not known causes one more look, so that a rotation needs no restart. When the keys cannot be had,
    those that were had before hold on for `max_stale_s`.

    Args:
        source: An address that begins with `https://` (`http://` only for this machine), or a file.
        max_age_s: Time after which the keys are asked for again.
        min_refetch_s: Time between two questions at least, whatever tokens come.
        max_stale_s: Time for which keys hold when nobody answers.
        timeout_s: Time that the answer may take.
        clock: A monotonic time in seconds.

    Raises:
        ValueError: The address is not encrypted.
    """

    __slots__ = (
        "_asked_at",
        "_asking",
        "_clock",
        "_had_at",
        "_keys",
        "_max_age_s",
        "_max_stale_s",
        "_min_refetch_s",
        "_source",
        "_timeout_s",
    )

    def __init__(
        self,
        source: str | Path,
        *,
        max_age_s: float = 300.0,
        min_refetch_s: float = 10.0,
        max_stale_s: float = 86_400.0,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(source) if isinstance(source, str) and "://" in source else None
        if parts is not None and not (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        ):
            raise ValueError(f"keys over {parts.scheme}:// can be replaced on their way; expected https://")
        self._source = source if parts is not None else Path(source)
        self._max_age_s = max_age_s
        self._min_refetch_s = min_refetch_s
        self._max_stale_s = max_stale_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._keys: tuple[_Known, ...] = ()
        self._had_at: float | None = None
        self._asked_at: float | None = None
        self._asking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Jwks keys={len(self._keys)}>"

    async def find(self, kid: str | None, algorithm: str) -> Key:
        """Return the key that a token names; without a `kid`, the only one that fits.

        Raises:
            NotAuthenticated: No key has this name, or several fit a token that names none.
            Refuse: There are no keys, and they cannot be had now.
        """
        if self._had_at is None or self._clock() - self._had_at >= self._max_age_s:
            await self._ask()
        found = self._choose(kid, algorithm)
        if found is None:
            await self._ask()
            found = self._choose(kid, algorithm)
        if found is not None:
            return found.key
        if not self._keys:
            raise Refuse(503, "keys are not available", headers={"Retry-After": f"{self._min_refetch_s:.0f}"})
        raise NotAuthenticated("unknown_key", "token is not valid")

    def _choose(self, kid: str | None, algorithm: str) -> _Known | None:
        fitting = [
            known
            for known in self._keys
            if known.family == ALGORITHMS[algorithm]
            and known.algorithm in (None, algorithm)
            and (kid is None or known.kid == kid)
        ]
        return fitting[0] if len(fitting) == 1 else None

    async def _ask(self) -> None:
        """Have the keys again, unless that was tried a moment ago; all who come meanwhile wait for one answer."""
        loop = asyncio.get_running_loop()
        if self._asking is None or self._asking.get_loop() is not loop or self._asking.done():
            now = self._clock()
            if self._asked_at is not None and now - self._asked_at < self._min_refetch_s:
                return
            self._asked_at = now
            self._asking = asyncio.Task(self._load(), loop=loop)
        await asyncio.shield(self._asking)

    async def _load(self) -> None:
        try:
            content = await asyncio.to_thread(self._read)
            keys = tuple(_keys_of(json.loads(content)))
            if not keys:
                raise ValueError("no usable key")
        except Exception as error:  # noqa: BLE001 -- a name that does not resolve, a file that is none: the old keys hold
            logger.warning("keys could not be had: %s", type(error).__name__)
            if self._had_at is not None and self._clock() - self._had_at >= self._max_stale_s:
                self._keys = ()
            return
        self._keys = keys
        self._had_at = self._clock()

    def _read(self) -> bytes:
        if isinstance(self._source, Path):
            with self._source.open("rb") as file:
                return _bounded(file)
        # A redirect could lead anywhere, so none is followed.
        opener = urllib.request.build_opener(_NoRedirects())
        with opener.open(self._source, timeout=self._timeout_s) as answer:
            return _bounded(answer)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        """Follow nothing; the answer counts as an error."""


def _bounded(file: IO[bytes]) -> bytes:
    content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"key set is larger than {_MAX_BYTES} bytes")
    return content


def _keys_of(document: Any) -> list[_Known]:
    """Return what of a key set can verify signatures; other keys may stand there too (RFC 7517 §5)."""
    found = []
    for entry in document["keys"][:_MAX_KEYS]:
        if entry.get("kty") not in ("RSA", "EC", "OKP") or entry.get("use", "sig") != "sig":
            continue
        if "verify" not in entry.get("key_ops", ["verify"]):
            continue
        try:
            parsed = jwt.PyJWK(entry)
            too_short = parsed.Algorithm.check_key_length(parsed.key)
        except jwt.PyJWTError:
            continue
        if not too_short:
            kid, algorithm = entry.get("kid"), entry.get("alg")
            found.append(_Known(kid if isinstance(kid, str) else None, entry["kty"], algorithm, parsed.key))
    return found
