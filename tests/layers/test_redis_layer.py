"""The Redis layer on bad days: what is refused, what is asked for again, what is told."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.crc import key_slot

from roomful.core.errors import LayerAway, LayerError, PushInDoubt
from roomful.core.names import RoomName
from roomful.core.policies import Retention
from roomful.core.ports import ProducerSeq
from roomful.core.positions import Position
from roomful.layers.redis import Bounds, RedisLayer, Timing
from roomful.layers.redis.address import Address
from roomful.layers.redis.keys import Keys

from .scenes import ROOM, Scene, make_server, scene, until
from .servers import Server

KEEP = Retention(events=100, max_bytes=1_000_000, ttl_s=60)


@pytest.fixture
def url(server: Server, prefix: str) -> str:
    return f"{server.url}?prefix={prefix}"


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that a test may do anything to."""
    with make_server() as server:
        yield server


# ── What is missed ──


async def test_last_event_of_a_quiet_room_is_suspected_when_the_subscription_was_away(own: Server) -> None:
    """Nothing comes after it that would show the hole, so the tops are compared."""
    async with scene(own.url) as one, scene(own.url) as other:
        await one.layer.attach(ROOM)
        await one.layer.attach(RoomName("quiet"))
        own.hide()
        line = one.layer._line
        assert line is not None
        assert line.link is not None
        line.link.end("cut by the test")
        last = await other.push(b"missed", keep=KEEP)
        own.show()
        await until(lambda: one.suspected)
        page = await one.layer.history(ROOM, Position(last.position.epoch, 0), 10)

    assert one.suspected == [ROOM]
    assert one.delivered == []
    assert [payload for _, payload in page.entries] == [b"missed"]
    assert page.complete


async def test_hole_in_the_numbers_is_suspected(url: str, server: Server) -> None:
    """Whatever made it."""
    async with scene(url) as one:
        await one.layer.attach(ROOM)
        first = await one.push()
        keys = one.layer.keys.room(ROOM)
        with server.client() as client:
            client.hincrby(keys.meta, "t", 1)
        await one.push(b"after")
        await until(lambda: len(one.delivered) == 2)

    assert one.suspected == [ROOM]
    assert one.delivered[1][1] == Position(first.position.epoch, 3)


async def test_room_whose_keys_were_deleted_begins_an_epoch_and_is_suspected(
    url: str, server: Server
) -> None:
    """As when a server evicts or expires them, or is flushed."""
    async with scene(url) as one:
        await one.layer.attach(ROOM)
        first = await one.push(keep=KEEP)
        keys = one.layer.keys.room(ROOM)
        with server.client() as client:
            client.delete(keys.meta)
        second = await one.push(keep=KEEP)
        await until(lambda: len(one.delivered) == 2)
        page = await one.layer.history(ROOM, first.position, 10)

    assert second.position.epoch != first.position.epoch
    assert second.position.offset == 1
    assert one.suspected == [ROOM]
    assert (page.entries, page.complete) == ((), False)


async def test_what_others_publish_on_a_room_s_channel_is_ignored(
    url: str, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once."""
    async with scene(url) as one:
        await one.layer.attach(ROOM)
        channel = one.layer.keys.room(ROOM).channel
        with server.client() as client:
            for junk in (b"", b"junk", b"e x\n", b"e 1 9\nshort", b"\xff\xff 1\n"):
                client.spublish(channel, junk)
        await one.push(b"ours")
        await until(lambda: one.delivered)

    assert one.payloads == [b"ours"]
    assert len([record for record in caplog.records if "somebody else" in record.message]) == 1


# ── What is asked for again ──


async def test_push_whose_answer_was_lost_takes_effect_once(url: str) -> None:
    """It is asked for again by its number; its receipt says that it was pushed once."""
    async with scene(url) as one:
        await one.layer.attach(ROOM)
        await one.push(b"before")
        pushes = [one.push(bytes([n]), keep=None) for n in range(5)]
        keyed = one.push(b"keyed", key="k")
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the batch has been written, and no answer read
        one.cut()
        receipts = [await push for push in (*pushes, keyed)]
        await until(lambda: len(one.delivered) == 7)

    assert [receipt.position.offset for receipt in receipts] == [2, 3, 4, 5, 6, 7]
    assert not any(receipt.duplicate for receipt in receipts)
    assert one.payloads == [b"before", *(bytes([n]) for n in range(5)), b"keyed"]


async def test_push_that_another_run_of_the_server_may_have_taken_is_in_doubt(own: Server) -> None:
    """To push it again could deliver it twice."""
    async with scene(own.url) as one:
        await one.layer.attach(ROOM)
        await one.push(b"before")
        push = one.push(b"doubtful")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        one.cut()
        own.kill()
        own.start()
        with pytest.raises(PushInDoubt, match="may have taken effect"):
            await push
        assert (await one.push(b"after")).position.offset == 1


async def test_pushes_are_refused_while_the_server_is_away_and_go_on_after(
    own: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Each change is logged once, and the state can be asked for."""
    caplog.set_level(logging.INFO)
    async with scene(own.url) as one:
        assert one.layer.health() == ""
        own.kill()
        await until(one.layer.health)
        with pytest.raises(LayerAway, match="push was refused, the layer is away"):
            await one.push()
        assert one.layer.status().is_up is False
        assert one.layer.status().pending == 0
        own.start()
        await until(lambda: one.layer.status().is_up)
        await one.push()
        assert one.layer.status().outages == 1

    said = [record.message for record in caplog.records if record.name == "roomful.layer"]
    assert [("away" in text, "is reached" in text) for text in said] == [
        (False, True),
        (True, False),
        (False, True),
    ]


async def test_pushes_are_held_as_long_and_as_many_as_was_asked_for(own: Server) -> None:
    """In their order."""
    bounds = Bounds(hold_s=20, max_pushes=3)
    async with scene(own.url, bounds=bounds) as one:
        own.kill()
        await until(one.layer.health)
        held = [one.push(bytes([n])) for n in range(3)]
        with pytest.raises(LayerAway, match="3 pushes of 3 bytes wait"):
            await one.push()
        own.start()
        offsets = [(await push).position.offset for push in held]

    assert offsets == [1, 2, 3]


async def test_pushes_that_were_held_for_too_long_are_refused(own: Server) -> None:
    """The time is over."""
    async with scene(f"{own.url}?hold_s=0.2") as one:
        own.kill()
        await until(one.layer.health)
        with pytest.raises(LayerAway, match="given up"):
            await one.push()


# ── An island ──


async def test_local_pushes_have_an_epoch_of_their_own_and_never_enter_the_shared_history(
    own: Server,
) -> None:
    """Members are told where it begins and ends, because neither epoch leads to the other."""
    async with scene(f"{own.url}?when_layer_is_down=local") as one:
        before = await one.layer.attach(ROOM)
        own.kill()
        await until(one.layer.health)
        island = await one.push(b"local", keep=KEEP)
        again = await one.push(b"keyed", key="k")
        repeated = await one.push(b"keyed", key="k")
        late = await one.layer.attach(RoomName("late"))
        entering = await one.layer.history(ROOM, before, 10)
        assert one.payloads == [b"local", b"keyed"]
        own.start()
        await until(lambda: set(one.suspected) == {ROOM, "late"})
        leaving = await one.layer.history(ROOM, again.position, 10)
        shared = await one.push(b"shared", keep=KEEP)
        await until(lambda: one.payloads[-1] == b"shared")

    assert island.position.epoch.startswith("local-")
    assert (repeated.position, repeated.duplicate) == (again.position, True)
    assert late.epoch == island.position.epoch
    assert (entering.entries, entering.complete) == ((), False)
    assert (leaving.entries, leaving.complete) == ((), False)
    assert shared.position.offset == 1


# ── What is refused ──


async def test_unreachable_server_is_named_without_the_password() -> None:
    """At start."""
    with pytest.raises(LayerAway) as caught:
        await Scene("redis://me:secret@127.0.0.1:1/3").start()

    assert "redis://127.0.0.1:1/3 cannot be reached" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(RedisLayer("redis://me:secret@127.0.0.1:1").address)


async def test_wrong_password_is_said() -> None:
    """None, a wrong one, and the right one."""
    with make_server() as own:
        with own.client() as client:
            client.config_set("requirepass", "right")
        for wrong in (own.url, own.url.replace("unix://", "unix://:wrong@")):
            with pytest.raises(LayerError, match="another user name or password"):
                await Scene(wrong).start()
        async with scene(own.url.replace("unix://", "unix://default:right@")) as one:
            await one.push()


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Answer whatever comes with the same bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(answer)
        writer.close()
        ended.set()

    ended = asyncio.Event()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await ended.wait()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"%1\r\n+version\r\n+6.2.1\r\n", r"too old \(ERR version 6.2.1\); expected Redis 7"),
        (b"-ERR unknown command 'HELLO'\r\n", "too old"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "another protocol"),
        (b"+OK\r\n", "no Redis or Valkey"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "not ready"),
        (b"", "does not answer within"),
    ],
)
async def test_server_that_cannot_be_used_is_said_to_be_so(answer: bytes, said: str) -> None:
    """Too old, another thing altogether, silent."""
    timing = Timing(connect_timeout_s=10 if answer else 0.3)
    async with answering(answer) as url:
        with pytest.raises(LayerError, match=said):
            await Scene(url, timing=timing).start()


async def test_replica_is_refused_and_a_server_that_becomes_one_is_away_until_it_is_none(own: Server) -> None:
    """Its data may be another server's afterwards, so an epoch begins."""
    async with scene(own.url) as one:
        await one.layer.attach(ROOM)
        first = await one.push(keep=KEEP)
        with own.client() as client:
            client.replicaof("127.0.0.1", "1")
            with pytest.raises(LayerError, match="READONLY"):
                await one.push()
            await until(one.layer.health)
            with pytest.raises(LayerError, match="functions cannot be used"):
                await Scene(own.url).start()
            client.replicaof("NO", "ONE")
        await until(lambda: one.layer.status().is_up)
        second = await one.push()

    assert second.position.offset == first.position.offset + 1


async def test_full_memory_refuses_pushes_and_ends(own: Server) -> None:
    """The server says so itself."""
    async with scene(own.url) as one:
        with own.client() as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(LayerError, match="push was refused: server says: OOM"):
                await one.push()
            client.config_set("maxmemory", 0)
        assert (await one.push()).position.offset == 1


@pytest.mark.parametrize("kind", ["text", "hash"])
async def test_foreign_data_under_a_room_s_key_refuses_that_room_alone(
    url: str, server: Server, kind: str
) -> None:
    """Nothing is overwritten, and the key is named or its type."""
    async with scene(url) as one:
        meta = one.layer.keys.room(ROOM).meta
        with server.client() as client:
            if kind == "text":
                client.set(meta, "foreign")
            else:
                client.hset(meta, "foreign", "1")
        for attempt in (one.push, lambda: one.layer.attach(ROOM)):
            with pytest.raises(LayerError, match=r"FOREIGN data under the key|WRONGTYPE"):
                await attempt()
        assert (await one.push(room=RoomName("other"))).position.offset == 1
        with server.client() as client:
            assert client.exists(meta)


# ── What is kept ──


async def test_history_keeps_what_was_asked_for_and_no_more(url: str) -> None:
    """By number, by bytes, and nothing where nothing is kept."""
    async with scene(url) as one:
        top = (await one.push(keep=Retention(3, 1000, 60))).position

        async def kept() -> list[int]:
            page = await one.layer.history(ROOM, Position(top.epoch, 0), 100)
            assert page.complete == (bool(page.entries) and page.entries[0][0].offset == 1)
            return [at.offset for at, _ in page.entries]

        for _ in range(6):
            await one.push(b"x", keep=Retention(3, 1000, 60))
        assert await kept() == [5, 6, 7]
        await asyncio.gather(*(one.push(bytes(300), keep=Retention(100, 1000, 60)) for _ in range(5)))
        assert await kept() == [10, 11, 12]
        await one.push(bytes(2000), keep=Retention(100, 1000, 60))
        assert await kept() == []
        await one.push(b"kept", keep=KEEP)
        assert await kept() == [14]
        await one.push(b"not kept")
        assert await kept() == []


async def test_history_forgets_what_is_too_old(url: str) -> None:
    """An event goes when its time is over, also where none follows."""
    async with scene(url, bounds=Bounds(idle_room_s=0.5)) as one:
        last = (await one.push(keep=Retention(100, 1000, 0.05))).position
        await one.push(b"later", keep=Retention(100, 1000, 60))
        async with asyncio.timeout(5):
            page = await one.layer.history(ROOM, Position(last.epoch, 0), 10)
            while len(page.entries) > 1:
                page = await one.layer.history(ROOM, Position(last.epoch, 0), 10)


async def test_a_page_has_no_holes_whatever_the_ages_were(url: str) -> None:
    """Where the age was changed, what is younger and too old stays for as long as what is older does."""
    async with scene(url) as one:
        await one.push(b"1", keep=KEEP)
        await one.push(b"2", keep=Retention(100, 1_000_000, 0))
        last = (await one.push(b"3", keep=KEEP)).position
        page = await one.layer.history(ROOM, Position(last.epoch, 0), 10)

    assert (page.complete, [payload for _, payload in page.entries]) == (True, [b"1", b"2", b"3"])


async def test_what_is_left_is_found_behind_what_is_too_old(url: str) -> None:
    """However much of that there is."""
    async with scene(url) as one:
        await asyncio.gather(*(one.push(keep=Retention(100, 1_000_000, 0.05)) for _ in range(5)))
        last = (await one.push(b"left", keep=KEEP)).position
        page = await one.layer.history(ROOM, Position(last.epoch, 0), 2)
        while len(page.entries) > 1:
            page = await one.layer.history(ROOM, Position(last.epoch, 0), 2)

    assert (page.complete, page.entries) == (False, ((last, b"left"),))


async def test_rooms_that_nobody_uses_expire_and_those_with_members_do_not(url: str, server: Server) -> None:
    """All keys of a room have an end; a sweep puts it off where the room is attached."""
    async with scene(url, bounds=Bounds(idle_room_s=1)) as one:
        await one.layer.attach(ROOM)
        await one.push(keep=Retention(10, 1000, 0.5), key="k")
        keys = one.layer.keys.room(ROOM)
        subscriber = one.layer._subscriber
        assert subscriber is not None
        with server.client() as client:
            names = client.scan_iter(match=f"{keys.base.replace('{', '?')}*")
            ends = {name.decode(): client.pttl(name) for name in names}
            assert len(ends) == 4
            assert all(0 < end <= 600_000 for end in ends.values()), ends
            client.pexpire(keys.meta, 300)
            client.hset(keys.meta, "x", 0)
            subscriber.sweep(1)
            await until(lambda: client.pttl(keys.meta) > 300)


def test_all_keys_of_a_room_lie_in_one_slot() -> None:
    """Whatever the room is called."""
    for name in ("a", "}", "{}", "a}b{c}", "{", "é{x}", "\x01proom"):
        keys = Keys("p").room(RoomName(name))
        names = [keys.channel, keys.meta, keys.stream, keys.occupants, keys.producer("q"), keys.key("{k}")]
        assert len({key_slot(key.encode()) for key in names}) == 1, name


# ── URLs ──


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "redis://localhost:6379/0"),
        ("redis://h:1/2", "redis://h:1/2"),
        ("redis://[::1]:7?db=3", "redis://[::1]:7/3"),
        ("rediss://u:p%40@h", "rediss://h:6379/0"),
        ("unix:///run/r.sock?db=1", "unix:///run/r.sock"),
    ],
)
def test_url_names_a_server(url: str, shown: str) -> None:
    """Without its password."""
    assert str(Address.parse(url)[0]) == shown


def test_url_s_parts_are_unquoted() -> None:
    """As in every URL."""
    address, options = Address.parse("rediss://u%40:p%2F@h/4?ssl_cert_reqs=none&prefix=x")

    assert (address.username, address.password, address.database) == ("u@", "p/", 4)
    assert options == {"prefix": "x"}
    context = address.tls_context()
    assert context is not None
    assert not context.check_hostname


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h", "begin with 'http'"),
        ("redis://h:port", "malformed"),
        ("redis://h/x", "database of the layer is 'x'"),
        ("unix://", "no path"),
        ("redis://h?ssl_cert_reqs=none", "for rediss:// alone"),
        ("redis://h?unknown=1", "unknown option 'unknown'"),
        ("redis://h?prefix=", "prefix is ''"),
        ("redis://h?prefix={a", "prefix is"),
        ("redis://h?hold_s=x", "hold_s is 'x'"),
        ("redis://h?when_layer_is_down=panic", "when_layer_is_down is 'panic'"),
    ],
)
def test_url_that_cannot_work_is_refused(url: str, said: str) -> None:
    """At once, and without a password in the text."""
    with pytest.raises(LayerError, match=said):
        RedisLayer(url)


async def test_tls_settings_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    """The file's name is in the text."""
    for query in (f"ssl_ca_certs={tmp_path}/none", "ssl_cert_reqs=perhaps"):
        with pytest.raises(LayerError, match="TLS settings"):
            await Scene(f"rediss://127.0.0.1:1?{query}").start()


def test_layer_that_is_not_started_says_so() -> None:
    """Whatever is asked of it."""
    layer = RedisLayer("redis://")

    with pytest.raises(LayerError, match="not started"):
        layer.publish(ROOM, b"", seq=ProducerSeq(secrets.token_hex(4), 1))  # type: ignore[unused-awaitable]
    layer.detach(ROOM)
    assert layer.health() == "it is not started"
