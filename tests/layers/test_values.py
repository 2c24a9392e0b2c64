"""Values that expire: kept for their time, taken once, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomful.core.capabilities import KeyedState
from roomful.core.errors import LayerAway
from roomful.layers.memory import MemoryLayer
from roomful.layers.values import Values

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put_once", "get", "take_once", "pass"]),
        st.sampled_from("abc"),
        st.integers(1, 5),
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=200)
def test_values_behave_as_a_dict_whose_entries_end(steps: list[tuple[str, str, int]]) -> None:
    """Each value is there until its time has come or it is taken, whatever happened to its key before."""
    now = 0.0
    values = Values(3, lambda: now)
    model: dict[str, tuple[float, bytes]] = {}
    for number, (step, key, amount) in enumerate(steps):
        model = {k: entry for k, entry in model.items() if entry[0] > now}
        known = model.get(key, (0.0, None))[1]
        if step == "pass":
            now += amount
        elif step == "put":
            values.put(key, b"%d" % number, amount)
            model[key] = (now + amount, b"%d" % number)
        elif step == "put_once":
            assert values.put_once(key, b"%d" % number, amount) == (known is None)
            model.setdefault(key, (now + amount, b"%d" % number))
        elif step == "get":
            assert values.get(key) == known
        else:
            assert values.take_once(key) == known
            model.pop(key, None)


def test_values_that_are_replaced_for_ever_leave_nothing_behind() -> None:
    """The memory is that of the values that are kept, not of all that were."""
    values = Values(10, lambda: 0.0)
    for number in range(1000):
        values.put("a", b"%d" % number, 3600)
        values.take_once("b")

    assert len(values) == 1
    assert len(values._ends) < 100


def test_full_store_refuses_what_is_new_and_forgets_nothing() -> None:
    """A value that was promised for a time is kept for it, also when others ask for room."""
    now = 0.0
    values = Values(2, lambda: now)
    values.put("a", b"1", 10)
    assert values.put_once("b", b"2", 20)

    with pytest.raises(LayerAway):
        values.put("c", b"3", 10)
    with pytest.raises(LayerAway):
        values.put_once("c", b"3", 10)
    values.put("a", b"4", 10)
    assert (values.get("a"), values.get("b"), values.get("c")) == (b"4", b"2", None)

    now = 10.0
    values.put("c", b"3", 10)
    assert (values.get("a"), values.get("c")) == (None, b"3")


async def test_memory_layer_has_keyed_state_by_its_own_clock() -> None:
    """A ticket is taken once, within its time; stopping forgets all."""
    now = 0.0
    layer = MemoryLayer(clock=lambda: now)
    assert isinstance(layer, KeyedState)
    await layer.start(lambda *_: None, lambda *_: None)

    assert await layer.put_once("ticket", b"ada", ttl_s=30)
    assert not await layer.put_once("ticket", b"eve", ttl_s=30)
    assert await layer.get("ticket") == b"ada"
    assert await layer.take_once("ticket") == b"ada"
    assert await layer.take_once("ticket") is None
    await layer.put("ticket", b"bob", ttl_s=30)
    now = 30.0
    assert await layer.get("ticket") is None
    await layer.put("ticket", b"bob", ttl_s=30)
    await layer.stop()
    assert await layer.get("ticket") is None
