"""Several processes with one server: real nodes, real clients, a producer and the shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from roomful import Event, LayerAway, LayerError, Producer, RoomPolicy
from roomful.core.errors import InvalidState

from .nodes import LEASE_S, Node, Visitor
from .servers import Server


def until(condition: Callable[[], bool], *, timeout_s: float = 15.0) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


@pytest.fixture
def url(server: Server, prefix: str) -> str:
    return f"{server.url}?prefix={prefix}"


@pytest.fixture
def nodes(url: str) -> Iterator[tuple[Node, Node]]:
    with Node("--layer", url) as first, Node("--layer", url) as second:
        yield first, second


def test_event_reaches_members_of_every_node_in_one_order(nodes: tuple[Node, Node]) -> None:
    """Two nodes push to one room at once, and all members get the same."""
    first, second = nodes
    with first.visit("hall") as one, second.visit("hall") as two:
        for number in range(20):
            one.socket.send(f'{{"type":"post","data":"one {number}"}}')
            two.socket.send(f'{{"type":"post","data":"two {number}"}}')
        heard = [[visitor.take("post") for _ in range(40)] for visitor in (one, two)]

    assert heard[0] == heard[1]
    for name in ("one", "two"):
        assert [m["data"] for m in heard[0] if m["data"].startswith(name)] == [
            f"{name} {n}" for n in range(20)
        ]
    offsets = [int(m["pos"].partition(":")[2]) for m in heard[0]]
    assert offsets == list(range(offsets[0], offsets[0] + 40))


def test_member_resumes_on_another_node(nodes: tuple[Node, Node]) -> None:
    """History is the server's, so any node gives what was missed."""
    first, second = nodes
    with first.visit("kept:a") as one:
        position = one.ask("post", 0)
        for number in range(1, 4):
            one.ask("post", number)
        with second.visit("kept:a", **{"kept:a": position}) as two:
            assert two.joined["recovered"] is True
            assert [message["data"] for message in two.replayed] == [1, 2, 3]
            one.ask("post", 4)
            assert two.take("post")["data"] == 4


def test_producer_pushes_from_a_thread_without_a_loop(nodes: tuple[Node, Node], url: str) -> None:
    """Each thread's pushes come in its order, whatever the others do."""
    first, second = nodes
    with first.visit("kept:p") as one, second.visit("kept:p") as two, Producer(url) as producer:

        def push(name: str) -> None:
            for number in range(10):
                assert not producer.push("kept:p", Event("post", [name, number])).duplicate

        threads = [threading.Thread(target=push, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heard = [[visitor.take("post")["data"] for _ in range(20)] for visitor in (one, two)]

    assert heard[0] == heard[1]
    for name in "ab":
        assert [number for who, number in heard[0] if who == name] == list(range(10))


def test_producer_with_a_key_takes_effect_once(url: str) -> None:
    """As with a hub, also for another producer."""
    with Producer(url) as one, Producer(url) as two:
        first = one.push("r", "text", key="k")
        again = two.push("r", "text", key="k")

    assert (first.duplicate, again.duplicate) == (False, True)
    assert first.position == again.position


async def test_producer_pushes_on_a_loop(url: str) -> None:
    """Receipts count on, and a push that would stop the loop is refused."""
    async with Producer(url, rooms={"*": RoomPolicy(history=5)}) as producer:
        receipts = [await producer.apush("r", Event("post", n)) for n in range(3)]
        with pytest.raises(InvalidState, match="apush"):
            producer.push("r", "text")

    assert [receipt.position.offset for receipt in receipts] == [1, 2, 3]


def test_producer_after_a_fork_is_another_one(url: str) -> None:
    """A child that goes on with its parent's numbers would be taken for the parent."""
    with Producer(url) as producer:
        assert producer.push("r", "parent").position.offset == 1
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if producer.push("r", "child").position.offset == 2 else 1)
            except BaseException:  # noqa: BLE001 -- nothing may get out of the child
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert producer.push("r", "parent").position.offset == 3


def test_producer_without_a_server_is_refused_and_says_so() -> None:
    """At once, or when the time that was given is over; and no password in the text."""
    with Producer("redis://user:secret@127.0.0.1:1/0") as producer, pytest.raises(LayerAway) as caught:
        producer.push("r", "text")

    assert "redis://127.0.0.1:1/0 is away" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_producer_on_a_loop_without_a_server_is_refused() -> None:
    """As the blocking one."""
    producer = Producer("redis://127.0.0.1:1", hold_s=0.2)
    with pytest.raises(LayerAway, match="cannot be reached"):
        await producer.apush("r", "text")
    await producer.aclose()


def test_producer_needs_a_layer_that_others_reach() -> None:
    """A memory layer has no outside."""
    with pytest.raises(LayerError, match="redis"):
        Producer("memory://")


def roomful(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "roomful", "push", *arguments],
        capture_output=True, text=True, input=text, timeout=30, check=False,
    )  # fmt: skip


def test_push_command_reaches_members(nodes: tuple[Node, Node], url: str) -> None:
    """It prints the position; from standard input too."""
    with nodes[0].visit("lobby") as visitor:
        done = roomful(url, "lobby", '{"type":"post","data":{"text":"hi"}}')
        heard = visitor.take("post")
        piped = roomful(url, "lobby", "-", text='{"type":"post"}')
        assert visitor.take("post")["data"] is None

    assert (done.returncode, done.stdout, done.stderr) == (0, heard["pos"] + "\n", "")
    assert heard["data"] == {"text": "hi"}
    assert piped.returncode == 0


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("{", "no JSON"),
        ("[]", "no event"),
        ('{"type":"roomful.x"}', "reserved"),
        ('{"type":"a","more":1}', "no event"),
    ],
)
def test_push_command_wrong_message_is_wrong_usage(message: str, problem: str) -> None:
    """Found before anything is connected."""
    done = roomful("redis://127.0.0.1:1", "lobby", message)

    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_push_command_without_a_server_says_so() -> None:
    """One line, and a code that says that nothing was pushed."""
    done = roomful("redis://127.0.0.1:1", "lobby", '{"type":"post"}')

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "roomful push: push was refused, redis://127.0.0.1:1/0 is away\n"


# ── Embedded ──


def children(pid: int) -> list[int]:
    """Return the processes below one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == pid:
            found.append(int(text.split()[0]))
    return found


def servers_below(pid: int) -> list[int]:
    """Return the embedded servers of a process: below its guard."""
    return [
        server
        for guard in children(pid)
        for server in children(guard)
        if b"valkey-server" in Path(f"/proc/{server}/cmdline").read_bytes()
    ]


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def no_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROOMFUL_LAYER", raising=False)


def visit_each_worker(node: Node, room: str) -> list[object]:
    """Return visitors of two processes."""
    found: dict[int, object] = {}
    others = []
    for _ in range(200):
        visitor = node.visit(room)
        _, pid = visitor.ask("who")
        if pid in found:
            others.append(visitor)
        found.setdefault(pid, visitor)
        if len(found) == 2:
            break
    for other in others:
        other.socket.close()
    assert len(found) == 2
    return list(found.values())


@pytest.mark.usefixtures("no_layer")
def test_workers_share_an_embedded_server_that_comes_back_and_goes_with_them() -> None:
    """No layer is named: the workers' rooms are one, also after the server and its guard were killed."""
    with Node("--workers", "2") as node:
        one, two = visit_each_worker(node, "hall")
        one.ask("post", "first")
        assert two.take("post")["data"] == "first"
        [server] = servers_below(node.pid)
        os.kill(server, signal.SIGKILL)
        until(lambda: servers_below(node.pid) not in ([], [server]))

        def posts() -> bool:
            try:
                return bool(one.ask("post", "second"))
            except RuntimeError:
                return False

        until(posts)
        # The server has forgotten everything, so nobody can know what the other worker has missed.
        assert two.take("roomful.gap")["reason"] == "epoch"
        one.ask("post", "third")
        while two.take("post")["data"] != "third":
            pass
        [again] = servers_below(node.pid)
        one.socket.close()
        two.socket.close()
    until(lambda: not is_alive(again))


@pytest.mark.usefixtures("no_layer")
@pytest.mark.parametrize("whom", ["parent", "guard"])
def test_embedded_server_dies_with_whoever_owns_it(whom: str) -> None:
    """However that ends; the folder goes too."""
    program = (
        "import sys; from roomful.layers.redis.embedded import EmbeddedServer\n"
        "server = EmbeddedServer(); server.start(); print(server.socket.parent, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        [server] = servers_below(owner.pid)
        assert folder.stat().st_mode & 0o777 == 0o700
        if whom == "guard":
            [guard] = [pid for pid in children(owner.pid) if children(pid)]
            os.kill(guard, signal.SIGKILL)
            until(lambda: servers_below(owner.pid) not in ([], [server]))
            [server] = servers_below(owner.pid)
        owner.kill()
        owner.wait()
        until(lambda: not is_alive(server))
        until(lambda: not folder.exists())


def test_connection_of_another_process_is_reached_by_its_id(nodes: tuple[Node, Node]) -> None:
    """Messages come in their order, and it can be closed; who has gone is no error there."""
    first, second = nodes
    with first.visit("a") as one, second.visit("b") as two:
        id_, _ = two.ask("who")
        for number in range(20):
            one.ask("tell", {"id": id_, "what": number})
        assert [two.take("told")["data"] for _ in range(20)] == list(range(20))
        one.ask("part", {"id": id_})
        with pytest.raises(ConnectionClosed) as caught:
            two.get()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4500, "asked to")
        one.ask("tell", {"id": id_, "what": "nobody hears this"})
        own, _ = one.ask("who")
        one.ask("tell", {"id": own, "what": "here"})
        with pytest.raises(RuntimeError):
            one.ask("tell", {"id": "x" * 16 + own[16:], "what": "nobody has this id"})


# ── Presence ──


@pytest.fixture
def halls(url: str) -> Iterator[tuple[Node, Node]]:
    app = "tests.layers.presence_app:app"
    with Node("--layer", url, app=app) as first, Node("--layer", url, app=app) as second:
        yield first, second


def comings_and_goings(visitor: Visitor, last: str) -> list[tuple[str, bool]]:
    """Return whom a visitor has seen come or go, until it has seen `last` come."""
    seen: list[tuple[str, bool]] = []
    while (last, True) not in seen:
        change = visitor.take("roomful.presence")
        seen.append((change["who"], change["present"]))
    return seen


def test_members_of_a_node_that_is_killed_are_gone_once_and_in_time(halls: tuple[Node, Node]) -> None:
    """Within its lease and a third of another one, whoever of the others finds it."""
    first, second = halls
    with second.visit("ada") as ada, second.visit("eve") as eve, first.visit("bob"), first.visit("bea"):
        for visitor in (ada, eve):
            assert comings_and_goings(visitor, "bea")[-2:] == [("bob", True), ("bea", True)]
        first.kill()
        began = time.monotonic()
        gone = {ada.take("roomful.presence")["who"] for _ in range(2)}
        took_s = time.monotonic() - began
        with second.visit("zoe"):
            seen = [comings_and_goings(visitor, "zoe") for visitor in (ada, eve)]

    assert gone == {"bob", "bea"}
    assert took_s < LEASE_S * 4 / 3 + 3.0, "three seconds are for a machine that is busy"
    assert seen[0] == [("zoe", True)]
    assert sorted(seen[1]) == [("bea", False), ("bob", False), ("zoe", True)]


def test_rolling_deploy_shows_nobody_gone_who_comes_back(halls: tuple[Node, Node]) -> None:
    """A node that is told to stop tells its members to come back; those who do have never been away."""
    first, second = halls
    with second.visit("ada") as ada, first.visit("bob") as bob, first.visit("bea"):
        comings_and_goings(ada, "bea")
        first.stop()
        with pytest.raises(ConnectionClosed) as closed:
            bob.take("never")
        assert closed.value.rcvd is not None
        assert 4000 <= closed.value.rcvd.code < 4500
        with second.visit("bob"):
            change = ada.take("roomful.presence")
            assert (change["who"], change["present"]) == ("bea", False)
            with second.visit("zoe"):
                assert comings_and_goings(ada, "zoe") == [("zoe", True)]
