"""Checks of keyed state. Each one's docstring is the guarantee that it holds."""

from __future__ import annotations

import asyncio

from .layer_bench import Bench, expect

__all__ = ("forgets_values_in_time", "keeps_values_apart", "stores_a_value_once", "takes_a_value_once")

_LONG_S = 60.0
_SHORT_S = 0.05
_MANY = 20


async def stores_a_value_once(bench: Bench) -> None:
    """Of all that put a value under a key once, one does; `put` replaces what is there."""
    state = bench.keyed_state()
    stored = await asyncio.gather(*(state.put_once("k", bytes([n]), ttl_s=_LONG_S) for n in range(_MANY)))
    expect(sum(stored) == 1, f"{sum(stored)} of {_MANY} values were stored")
    expect(await state.get("k") == bytes([stored.index(True)]), "the value is another one's")
    await state.put("k", b"replaced", ttl_s=_LONG_S)
    expect(await state.get("k") == b"replaced", "put has not replaced the value")


async def takes_a_value_once(bench: Bench) -> None:
    """Of all that take a value, one gets it; then the key has none, and can be used again."""
    state = bench.keyed_state()
    await state.put("k", b"v", ttl_s=_LONG_S)
    taken = await asyncio.gather(*(state.take_once("k") for _ in range(_MANY)))
    expect(sorted(taken, key=bool) == [None] * (_MANY - 1) + [b"v"], f"the takers got {taken}")
    expect(await state.get("k") is None, "the value is still there")
    expect(await state.put_once("k", b"w", ttl_s=_LONG_S), "the key cannot be used again")


async def keeps_values_apart(bench: Bench) -> None:
    """Any text is a key of its own, and any bytes are a value."""
    state = bench.keyed_state()
    values = {"a": b"", "A": b"\x00\r\n", "a b": bytes(range(256)), "{a}": b"1", "é" * 50: b"2", "": b"3"}
    for key, value in values.items():
        await state.put(key, value, ttl_s=_LONG_S)
    for key, value in values.items():
        expect(await state.get(key) == value, f"{key!r} has another value")
    expect(await state.get("nobody") is None, "a key that nobody has used has a value")


async def forgets_values_in_time(bench: Bench) -> None:
    """A value is gone when its time is over, and not before."""
    state = bench.keyed_state()
    await state.put("short", b"1", ttl_s=_SHORT_S)
    await state.put_once("once", b"2", ttl_s=_SHORT_S)
    await state.put("long", b"3", ttl_s=_LONG_S)
    while await state.get("short") is not None or await state.get("once") is not None:  # noqa: ASYNC110 -- time passes
        await asyncio.sleep(_SHORT_S / 10)
    expect(await state.get("long") == b"3", "a value is gone before its time")
    expect(
        await state.put_once("once", b"4", ttl_s=_LONG_S), "a key whose value is gone cannot be used again"
    )
