"""Keyed state of one process, for authenticators whose layer is not what is tested."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ("State",)


class State:
    """Implements the port `KeyedState`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.values: dict[str, tuple[float, bytes]] = {}
        self._clock = clock

    async def put_once(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        if await self.get(key) is not None:
            return False
        await self.put(key, value, ttl_s=ttl_s)
        return True

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        self.values[key] = (self._clock() + ttl_s, value)

    async def get(self, key: str) -> bytes | None:
        expires_at, value = self.values.get(key, (0.0, b""))
        return value if expires_at > self._clock() else None

    async def take_once(self, key: str) -> bytes | None:
        value = await self.get(key)
        self.values.pop(key, None)
        return value
