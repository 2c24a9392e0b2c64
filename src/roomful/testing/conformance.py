"""The conformance suite for layers: what every implementation of the port `Layer` has to keep, as checks to run.

It knows no layer: whoever checks one says how to make it, and what else can be done with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..core.ports import Layer
from . import (
    layer_history,
    layer_keeping,
    layer_keyed,
    layer_life,
    layer_once,
    layer_order,
    layer_peers,
    layer_presence,
)
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
    layer_keeping.keeps_what_it_was_asked_to_keep,
    layer_keeping.reads_page_by_page,
    layer_keeping.answers_any_position,
    layer_keeping.takes_an_attach_that_is_cancelled,
    layer_keeping.leads_on_through_a_restart,
    layer_keyed.stores_a_value_once,
    layer_keyed.takes_a_value_once,
    layer_keyed.keeps_values_apart,
    layer_keyed.forgets_values_in_time,
    layer_presence.tells_who_is_present,
    layer_presence.publishes_each_change_of_presence_once,
    layer_presence.keeps_presence_out_of_the_room,
    layer_peers.carries_events_to_the_other_process,
    layer_peers.numbers_for_both_processes,
    layer_peers.shares_history_and_keys,
    layer_peers.shares_values,
    layer_peers.counts_somebody_once_over_processes,
)


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """One check of one layer: `await check()` raises `AssertionError` when the layer breaks the guarantee."""

    make_layer: Callable[[], Layer]
    check: _Check
    timeout_s: float
    make_peer: Callable[[Layer], Layer] | None = None
    restart: Callable[[], Awaitable[None]] | None = None

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
            unittest.SkipTest: The layer lacks what the check is about, or nobody has said how to do it; pytest skips.
        """
        bench = Bench(self.make_layer(), self.make_peer, self.restart)
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


def check_layer(
    make_layer: Callable[[], Layer],
    *,
    make_peer: Callable[[Layer], Layer] | None = None,
    restart: Callable[[], Awaitable[None]] | None = None,
    timeout_s: float = 5.0,
) -> tuple[LayerCheck, ...]:
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
        keeps_what_it_was_asked_to_keep: what was pushed with a retention is there, complete, as long as it fits.
        reads_page_by_page: pages that are read one after the other are the whole history.
        answers_any_position: whatever a client says that it has, the room goes on.

    Cancellation:
        takes_an_attach_that_is_cancelled: the room can be attached again, and comes once.

    Keyed state, of layers that have `core.capabilities.KeyedState`:
        stores_a_value_once: of all that put a value once, one does.
        takes_a_value_once: of all that take a value, one gets it.
        keeps_values_apart: any text is a key, any bytes are a value.
        forgets_values_in_time: a value is gone when its time is over, and not before.

    Presence, of layers that have `core.capabilities.Presence`:
        tells_who_is_present: with what was said last, until it is taken back.
        publishes_each_change_of_presence_once: in a sequence that `occupants` refers to.
        keeps_presence_out_of_the_room: the room's events are numbered as without it.

    Several processes, with `make_peer`:
        carries_events_to_the_other_process: unchanged, at the position of the receipt.
        numbers_for_both_processes: both see one order, whoever pushes.
        shares_history_and_keys: what one has kept or used, the other knows.
        shares_values: of both processes one gets a value.
        counts_somebody_once_over_processes: who is present through both comes once, and goes with the last.

    Failover, with `restart`:
        leads_on_through_a_restart: offsets go on, old positions lead on, and none that was not reached.

    A check of what a layer lacks raises `unittest.SkipTest` with the reason, which pytest shows as skipped. Groups need
    no checks of their own: they are topics like rooms.

    Args:
        make_layer: Returns a new layer, not started, that shares no room with another one: where layers meet in a
            server, each needs a prefix of its own.
        make_peer: Returns a layer as another process would have it, for a layer that was made: it shares its rooms.
        restart: Begins anew what the layers meet in, without losing anything, and returns when it can be reached.
        timeout_s: Time that one check may take.
    """
    return tuple(LayerCheck(make_layer, check, timeout_s, make_peer, restart) for check in _CHECKS)
