"""The conformance suite for layers: what every implementation of the port `Layer` has to keep, as checks to run.

It asks only what one process can see; that two nodes agree is not checked yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..core.ports import Layer
from . import layer_history, layer_life, layer_once, layer_order
from .layer_bench import Bench

__all__ = ("LayerCheck", "check_layer")

_Check: TypeAlias = Callable[[Bench], Awaitable[None]]

_CHECKS: Final[tuple[_Check, ...]] = (
    layer_order.numbers_events_one_by_one,
    layer_order.delivers_in_the_order_of_offsets,
    layer_order.delivers_payloads_unchanged,
    layer_order.keeps_rooms_apart,
    layer_order.delivers_in_the_thread_of_the_loop,
    layer_order.takes_pushes_while_it_delivers,
    layer_once.takes_a_sequence_once,
    layer_once.takes_sequences_with_holes,
    layer_once.keeps_producers_apart,
    layer_once.takes_a_key_once,
    layer_once.keeps_keys_to_their_room,
    layer_life.delivers_nothing_before_attach,
    layer_life.misses_nothing_after_attach,
    layer_life.delivers_nothing_after_detach,
    layer_life.goes_on_after_a_second_attach,
    layer_life.takes_a_push_that_nobody_awaits,
    layer_life.takes_a_push_whose_waiter_is_cancelled,
    layer_life.starts_again_after_stop,
    layer_life.leaves_nothing_running,
    layer_history.tells_history_in_order,
    layer_history.tells_that_history_is_complete,
    layer_history.knows_no_foreign_epoch,
)


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """One check of one layer: `await check()` raises `AssertionError` when the layer breaks the guarantee."""

    make_layer: Callable[[], Layer]
    check: _Check
    timeout_s: float

    @property
    def __name__(self) -> str:
        # What pytest shows as the id of a parameter.
        return self.check.__name__

    @property
    def guarantee(self) -> str:
        """The guarantee that it holds, as a sentence."""
        return (self.check.__doc__ or "").strip()

    def __repr__(self) -> str:
        return f"<LayerCheck {self.__name__}>"

    async def __call__(self) -> None:
        """Make a layer, start it, check it, and stop it.

        Raises:
            AssertionError: The layer breaks the guarantee, or does not come to an end with it.
        """
        bench = Bench(self.make_layer())
        try:
            async with asyncio.timeout(self.timeout_s):
                await bench.start()
                await self.check(bench)
        except TimeoutError:
            raise AssertionError(f"{self.guarantee} (nothing more came within {self.timeout_s} s)") from None
        except AssertionError as error:
            raise AssertionError(f"{self.guarantee} ({error})") from None
        finally:
            await bench.stop()


def check_layer(make_layer: Callable[[], Layer], *, timeout_s: float = 5.0) -> tuple[LayerCheck, ...]:
    """Return the checks of a layer.

    With pytest one line makes a test of each:

        @pytest.mark.parametrize("check", check_layer(MyLayer))
        async def test_layer_keeps_its_guarantees(check: LayerCheck) -> None:
            await check()

    Order:
        numbers_events_one_by_one: a room's events have the offsets that follow its position, in one epoch.
        delivers_in_the_order_of_offsets: events come in the order of their offsets, each once.
        delivers_payloads_unchanged: any bytes, none or a megabyte, come as they were published.
        keeps_rooms_apart: each room has its own numbers, and its events come under its name.
        delivers_in_the_thread_of_the_loop: `deliver` and `suspect` are called there, so that the hub needs no lock.
        takes_pushes_while_it_delivers: a push from within `deliver` is numbered behind the event that is delivered.

    Once:
        takes_a_sequence_once: a push that is published again takes no effect, and its receipt says so.
        takes_sequences_with_holes: a producer numbers its pushes over all rooms, so a room sees some of the numbers.
        keeps_producers_apart: two producers may use the same number.
        takes_a_key_once: a push with a key that was used takes no effect, and its receipt has the first one's position.
        keeps_keys_to_their_room: the same key in another room is another push.

    Loss, by `attach` and `detach`:
        delivers_nothing_before_attach: a room that nobody has attached is not delivered.
        misses_nothing_after_attach: all that follows the position that `attach` returned is delivered, or suspected.
        delivers_nothing_after_detach: what is published to a room that was detached does not come.
        goes_on_after_a_second_attach: a room that is attached again goes on behind its earlier events.
        takes_a_push_that_nobody_awaits: `publish` takes effect by being called.
        takes_a_push_whose_waiter_is_cancelled: it takes effect too, and the layer works on.

    Life:
        starts_again_after_stop: a stopped layer delivers nothing, and works again once it is started.
        leaves_nothing_running: no task is left when `stop` has returned, and no push waits for its answer.

    History:
        tells_history_in_order: a page has at most `limit` of the events that follow, the oldest first, unchanged.
        tells_that_history_is_complete: a page says that it is complete only if nothing is missing in it.
        knows_no_foreign_epoch: a page after a position of another epoch does not call itself complete.

    Args:
        make_layer: Returns a new layer, not started, that shares no room with another one: where layers meet in a
            server, each needs a prefix of its own.
        timeout_s: Time that one check may take.
    """
    return tuple(LayerCheck(make_layer, check, timeout_s) for check in _CHECKS)
