"""Layers that break one guarantee each: what the conformance suite must see."""

import asyncio
import threading
from collections.abc import Generator
from typing import Any

from roomful.core.capabilities import Change, Occupants
from roomful.core.names import RoomName, presence_topic
from roomful.core.ports import Deliver, Page, ProducerSeq, Receipt, Suspect
from roomful.core.positions import Position
from roomful.layers.memory import MemoryLayer
from roomful.testing import FakeLayer

__all__ = ("BROKEN", "Leaky")


class Gappy(FakeLayer):
    """Leaves every other offset out."""

    def _take(self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None) -> Receipt:
        self._log(room).payloads.append(b"")
        return super()._take(room, payload, seq, key)


class Epochal(FakeLayer):
    """Begins an epoch with each event."""

    def _take(self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None) -> Receipt:
        receipt = super()._take(room, payload, seq, key)
        at = Position(f"{receipt.position.epoch}x{receipt.position.offset}", receipt.position.offset)
        return Receipt(at, receipt.duplicate)


class Swapping(FakeLayer):
    """Delivers two events in the wrong order."""

    _kept: Any = None

    def _deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        if at.offset == 2:
            self._kept = (room, at, payload)
            return
        super()._deliver(room, at, payload)
        if self._kept is not None:
            super()._deliver(*self._kept)
            self._kept = None


class Stuttering(FakeLayer):
    """Delivers an event twice."""

    def _deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        super()._deliver(room, at, payload)
        if at.offset == 2:
            super()._deliver(room, at, payload)


class Dropping(FakeLayer):
    """Loses an event and does not say so."""

    def _deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        if at.offset != 2:
            super()._deliver(room, at, payload)


class Trimming(FakeLayer):
    """Takes payloads for text."""

    def _deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        super()._deliver(room, at, payload.strip(b"\x00\r\n"))


class CaseBlind(FakeLayer):
    """Takes two rooms for one."""

    def _log(self, room: RoomName) -> Any:
        return super()._log(RoomName(room.lower()))


class Threaded(FakeLayer):
    """Delivers from a thread of its own."""

    def _deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        thread = threading.Thread(target=super()._deliver, args=(room, at, payload))
        thread.start()
        thread.join()


class NotReentrant(FakeLayer):
    """Swallows what is pushed while it delivers."""

    _is_delivering = False

    def _deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        if not self._is_delivering:
            self._is_delivering = True
            super()._deliver(room, at, payload)
            self._is_delivering = False


class Forgetful(FakeLayer):
    """Remembers no sequence."""

    def _take(self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None) -> Receipt:
        self._log(room).seqs.clear()
        return super()._take(room, payload, seq, key)


class ShortSighted(FakeLayer):
    """Remembers the last sequence alone."""

    def _take(self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None) -> Receipt:
        seqs = self._log(room).seqs
        for earlier in list(seqs)[:-1]:
            del seqs[earlier]
        return super()._take(room, payload, seq, key)


class Counting(FakeLayer):
    """Wants every number of a producer in each room."""

    def _take(self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None) -> Receipt:
        log = self._log(room)
        if log.seqs and seq.number > max(earlier.number for earlier in log.seqs) + 1:
            return Receipt(log.top, duplicate=True)
        return super()._take(room, payload, seq, key)


class OneProducer(FakeLayer):
    """Looks at the number alone."""

    def _take(self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None) -> Receipt:
        return super()._take(room, payload, ProducerSeq("", seq.number), key)


class Keyless(FakeLayer):
    """Ignores keys."""

    def _take(self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None) -> Receipt:
        return super()._take(room, payload, seq, None)


class WrongReceipt(FakeLayer):
    """Answers a duplicate with the room's last position."""

    def _take(self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None) -> Receipt:
        receipt = super()._take(room, payload, seq, key)
        return Receipt(self._log(room).top, duplicate=receipt.duplicate)


class GlobalKeys(FakeLayer):
    """Has one set of keys for all rooms."""

    def _log(self, room: RoomName) -> Any:
        log = super()._log(room)
        log.keys = self.__dict__.setdefault("all_keys", {})
        return log


class Eager(FakeLayer):
    """Delivers rooms that nobody has attached."""

    def _deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        self._attached.setdefault(room, Position(at.epoch, 0))
        super()._deliver(room, at, payload)


class LateAttach(FakeLayer):
    """Says that it delivers a little before it does."""

    async def attach(self, room: RoomName) -> Position:
        promised = self._log(room).top
        await asyncio.sleep(0)
        await super().attach(room)
        return promised


class Sticky(FakeLayer):
    """Goes on with rooms that were detached."""

    def detach(self, room: RoomName) -> None:
        pass


class Resetting(FakeLayer):
    """Says that each room begins when it is attached."""

    async def attach(self, room: RoomName) -> Position:
        return Position((await super().attach(room)).epoch, 0)


class _Reluctant(asyncio.Future[Receipt]):
    act: Any

    def __await__(self) -> Generator[Any, None, Receipt]:
        self.set_result(self.act())
        return super().__await__()


class Lazy(FakeLayer):
    """Publishes when it is awaited."""

    def publish(
        self, room: RoomName, payload: bytes, *, seq: ProducerSeq, key: str | None = None
    ) -> asyncio.Future[Receipt]:
        answer = _Reluctant()
        answer.act = lambda: self._take(room, payload, seq, key)
        return answer


class Fragile(FakeLayer):
    """Answers without looking whether anybody waits."""

    def publish(
        self, room: RoomName, payload: bytes, *, seq: ProducerSeq, key: str | None = None
    ) -> asyncio.Future[Receipt]:
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(answer.set_result, self._take(room, payload, seq, key))
        return answer


class Cancellable(FakeLayer):
    """Drops a push whose waiter is cancelled."""

    def publish(
        self, room: RoomName, payload: bytes, *, seq: ProducerSeq, key: str | None = None
    ) -> asyncio.Future[Receipt]:
        async def act() -> Receipt:
            return self._take(room, payload, seq, key)

        return asyncio.ensure_future(act())


class Haunted(FakeLayer):
    """Still delivers its rooms when it is started again."""

    async def stop(self) -> None:
        attached = dict(self._attached)
        await super().stop()
        self._attached = attached


class Unstoppable(FakeLayer):
    """Delivers to whoever started it first."""

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        if self._calls is None:
            await super().start(deliver, suspect)

    async def stop(self) -> None:
        self._attached.clear()


class Leaky(FakeLayer):
    """Forgets a task when it stops."""

    tasks: list[asyncio.Task[object]] = []  # noqa: RUF012 -- whoever uses it cancels them

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        await super().start(deliver, suspect)
        self.tasks.append(asyncio.create_task(asyncio.Event().wait()))


class Silent(FakeLayer):
    """Leaves pushes without an answer when it stops."""

    def publish(
        self, room: RoomName, payload: bytes, *, seq: ProducerSeq, key: str | None = None
    ) -> asyncio.Future[Receipt]:
        answer = super().publish(room, payload, seq=seq, key=key)
        return asyncio.get_running_loop().create_future() if payload == b"nobody waits" else answer


class Furious(FakeLayer):
    """Answers with whatever has happened."""

    def publish(
        self, room: RoomName, payload: bytes, *, seq: ProducerSeq, key: str | None = None
    ) -> asyncio.Future[Receipt]:
        answer = super().publish(room, payload, seq=seq, key=key)
        if payload == b"nobody waits":
            answer = asyncio.get_running_loop().create_future()
            answer.set_exception(KeyError("internal"))
        return answer


class Backwards(FakeLayer):
    """Tells the newest first."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        page = await super().history(room, after, limit)
        return Page(page.entries[::-1], page.complete, page.top)


class Generous(FakeLayer):
    """Gives more than was asked for."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        return await super().history(room, after, limit + 1)


class Boastful(FakeLayer):
    """Has nothing and calls it complete."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        return Page((), complete=True, top=self._log(room).top)


class Humble(FakeLayer):
    """Never says that a page is complete."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        page = await super().history(room, after, limit)
        return Page(page.entries, complete=False, top=page.top)


class Trusting(FakeLayer):
    """Continues after positions that it has never issued."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        page = await super().history(room, after, limit)
        return Page(page.entries, complete=True, top=page.top)


class Stingy(FakeLayer):
    """Keeps nothing."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        return Page((), complete=False, top=self._log(room).top)


class Repeating(FakeLayer):
    """Begins each page where the first one began."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        return await super().history(room, Position(after.epoch, 0), limit)


class Believing(FakeLayer):
    """Gives everything to whoever names a position that it has never issued."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        top = self._log(room).top
        known = after if after.epoch == top.epoch else Position(top.epoch, 0)
        page = await super().history(room, known, limit)
        return Page(page.entries, complete=after.epoch == top.epoch and page.complete, top=top)


class Doubling(FakeLayer):
    """Delivers as often as it was asked to attach."""

    times = 0

    async def attach(self, room: RoomName) -> Position:
        self.times += 1
        await asyncio.sleep(0)
        return await super().attach(room)

    def _deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        for _ in range(self.times):
            super()._deliver(room, at, payload)


class Overwriting(MemoryLayer):
    """Stores a value as often as it is put."""

    async def put_once(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        await self.put(key, value, ttl_s=ttl_s)
        return True


class Lending(MemoryLayer):
    """Lets everybody take a value."""

    async def take_once(self, key: str) -> bytes | None:
        return await self.get(key)


class Confusing(MemoryLayer):
    """Takes two keys for one."""

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        await super().put(key.lower(), value, ttl_s=ttl_s)

    async def get(self, key: str) -> bytes | None:
        return await super().get(key.lower())


class Eternal(MemoryLayer):
    """Forgets no value."""

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        await super().put(key, value, ttl_s=ttl_s * 1000)


class Absent(MemoryLayer):
    """Says that nobody is there."""

    async def occupants(self, room: RoomName) -> Occupants:
        return Occupants((await super().occupants(room)).at, {})


class Chatty(MemoryLayer):
    """Publishes what everybody knows."""

    async def appear(self, room: RoomName, who: str, info: bytes) -> None:
        await super().appear(room, who, info)
        await self._publish_change(room, Change(who, info))


class Mixing(MemoryLayer):
    """Numbers presence with the room's events."""

    def publish(self, room: RoomName, payload: bytes, **options: Any) -> asyncio.Future[Receipt]:
        if room == presence_topic(RoomName("room")):
            room = RoomName("room")
        return super().publish(room, payload, **options)


BROKEN: dict[type[FakeLayer | MemoryLayer], str] = {
    Gappy: "numbers_events_one_by_one",
    Epochal: "numbers_events_one_by_one",
    Swapping: "delivers_in_the_order_of_offsets",
    Stuttering: "delivers_in_the_order_of_offsets",
    Dropping: "delivers_in_the_order_of_offsets",
    Trimming: "delivers_payloads_unchanged",
    CaseBlind: "keeps_rooms_apart",
    Threaded: "delivers_in_the_thread_of_the_loop",
    NotReentrant: "takes_pushes_while_it_delivers",
    Forgetful: "takes_a_sequence_once",
    ShortSighted: "takes_a_sequence_once",
    Counting: "takes_sequences_with_holes",
    OneProducer: "keeps_producers_apart",
    Keyless: "takes_a_key_once",
    WrongReceipt: "takes_a_key_once",
    GlobalKeys: "keeps_keys_to_their_room",
    Eager: "delivers_nothing_before_attach",
    LateAttach: "misses_nothing_after_attach",
    Sticky: "delivers_nothing_after_detach",
    Resetting: "goes_on_after_a_second_attach",
    Lazy: "takes_a_push_that_nobody_awaits",
    Fragile: "takes_a_push_whose_waiter_is_cancelled",
    Cancellable: "takes_a_push_whose_waiter_is_cancelled",
    Haunted: "starts_again_after_stop",
    Unstoppable: "starts_again_after_stop",
    Leaky: "leaves_nothing_running",
    Silent: "leaves_nothing_running",
    Furious: "leaves_nothing_running",
    Backwards: "tells_history_in_order",
    Generous: "tells_history_in_order",
    Boastful: "tells_that_history_is_complete",
    Humble: "tells_that_history_is_complete",
    Trusting: "knows_no_foreign_epoch",
    Stingy: "keeps_what_it_was_asked_to_keep",
    Repeating: "reads_page_by_page",
    Believing: "answers_any_position",
    Doubling: "takes_an_attach_that_is_cancelled",
    Overwriting: "stores_a_value_once",
    Lending: "takes_a_value_once",
    Confusing: "keeps_values_apart",
    Eternal: "forgets_values_in_time",
    Absent: "tells_who_is_present",
    Chatty: "publishes_each_change_of_presence_once",
    Mixing: "keeps_presence_out_of_the_room",
}
"""The check that must see each."""
