"""The conformance suite: what keeps the guarantees passes it, and whatever breaks one is seen."""

import asyncio
import unittest
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from roomful.core.names import RoomName
from roomful.core.ports import Layer
from roomful.core.positions import Position
from roomful.layers.memory import MemoryLayer
from roomful.testing import FakeLayer, LayerCheck, check_layer

from .broken_layers import BROKEN, Leaky

CHECKS = {check.__name__: check for check in check_layer(FakeLayer)}
OF_PEERS = (
    "carries_events_to_the_other_process",
    "numbers_for_both_processes",
    "shares_history_and_keys",
    "shares_values",
    "counts_somebody_once_over_processes",
)
RESTARTED = "leads_on_through_a_restart"


@pytest.fixture(autouse=True)
async def stop_leaks() -> AsyncIterator[None]:
    """End the tasks that a broken layer leaves behind."""
    yield
    while Leaky.tasks:
        task = Leaky.tasks.pop()
        task.cancel()
        await asyncio.wait((task,))


@pytest.mark.parametrize("check", check_layer(MemoryLayer))
async def test_memory_layer_keeps_its_guarantees(check: LayerCheck) -> None:
    await check()


@pytest.mark.parametrize("check", check_layer(FakeLayer))
async def test_fake_layer_keeps_its_guarantees(check: LayerCheck) -> None:
    await check()


@pytest.mark.parametrize("check", check_layer(partial(FakeLayer, delivers_at_once=False)))
async def test_fake_layer_that_delivers_later_keeps_its_guarantees(check: LayerCheck) -> None:
    await check()


class Suspecting(FakeLayer):
    """Misses what comes while it attaches, and says so."""

    async def attach(self, room: RoomName) -> Position:
        promised = self._log(room).top
        await asyncio.sleep(0)
        await super().attach(room)
        if self._log(room).top != promised:
            self.suspect(room)
        return promised


async def test_layer_may_suspect_what_it_misses() -> None:
    """A loss that is told breaks no promise."""
    [check] = [c for c in check_layer(Suspecting) if c.__name__ == "misses_nothing_after_attach"]

    await check()


@pytest.mark.parametrize(
    ("broken", "name"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", value)
)
async def test_broken_layer_is_seen(broken: Callable[[], Layer], name: str) -> None:
    """The check fails, says its guarantee, and leaves no task behind."""
    [check] = [c for c in check_layer(broken, timeout_s=0.2) if c.__name__ == name]

    with pytest.raises(AssertionError) as caught:
        await check()

    assert str(caught.value).startswith(check.guarantee.rstrip("."))
    assert asyncio.all_tasks() - {asyncio.current_task(), *Leaky.tasks} == set()


@pytest.mark.parametrize("name", OF_PEERS)
async def test_layers_that_share_nothing_are_no_peers(name: str) -> None:
    """Each check between two processes sees it, and ends both."""
    checks = check_layer(MemoryLayer, make_peer=lambda _: MemoryLayer(), timeout_s=0.2)
    [check] = [c for c in checks if c.__name__ == name]

    with pytest.raises(AssertionError) as caught:
        await check()

    assert str(caught.value).startswith(check.guarantee.rstrip("."))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_restart_that_forgets_is_seen() -> None:
    """A room that begins anew has lost something."""
    layers: list[FakeLayer] = []

    def make_layer() -> FakeLayer:
        layers.append(FakeLayer())
        return layers[-1]

    async def restart() -> None:
        layers[-1].lose_room("room")

    checks = check_layer(make_layer, restart=restart, timeout_s=0.2)
    [check] = [c for c in checks if c.__name__ == RESTARTED]
    with pytest.raises(AssertionError, match="old positions lead on"):
        await check()


@pytest.mark.parametrize("name", ["stores_a_value_once", "tells_who_is_present", *OF_PEERS, RESTARTED])
async def test_check_of_what_a_layer_lacks_is_skipped_with_the_reason(name: str) -> None:
    """It is neither kept nor broken."""
    with pytest.raises(unittest.SkipTest, match="FakeLayer"):
        await CHECKS[name]()


def test_every_check_is_proven_and_documented() -> None:
    """A check that nothing fails proves nothing; each one's guarantee stands in the suite's docstring."""
    assert {*BROKEN.values(), *OF_PEERS, RESTARTED} == set(CHECKS)
    assert check_layer.__doc__ is not None
    for name, check in CHECKS.items():
        assert f"    {name}: " in check_layer.__doc__
        assert check.guarantee.endswith(".")
        assert repr(check) == f"<LayerCheck {name}>"


async def test_layer_that_cannot_start_fails_every_check() -> None:
    """Its own error comes through."""

    class Unreachable(FakeLayer):
        async def start(self, deliver: Any, suspect: Any) -> None:
            raise LookupError("nobody is there")

    for check in check_layer(Unreachable):
        with pytest.raises(LookupError):
            await check()
