"""What a client sends is data: nothing of it is unpacked beyond its size, and nothing of it is run."""

from __future__ import annotations

import ast
import base64
import pickle
import zlib
from pathlib import Path
from typing import Final

import pytest

from roomful import CloseCode, Consumer, Event, Hub, on
from tests.integration.raw import RawClient
from tests.integration.waiting import until
from tests.security.door import offer, opened, request

ROOT: Final = Path(__file__).parents[2]
DANGEROUS: Final = {"pickle", "cPickle", "dill", "marshal", "shelve", "yaml", "cloudpickle", "jsonpickle"}


class Named(Consumer):
    """Tells its id, and takes anything."""

    async def connect(self) -> None:
        await self.send(Event("hello", self.id))

    @on("post")
    async def post(self, data: object) -> object:
        return data

    async def receive(self, message: str | bytes) -> None:
        await self.send(message)


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self._path,))  # type: ignore[return-value] # what pickle takes


async def test_pickle_of_a_client_is_bytes(transport: str, tmp_path: Path) -> None:
    """As a frame, inside JSON, and as the payload of a binary event; it comes back, and nothing has run."""
    trap = tmp_path / "sprung"
    pickled = pickle.dumps(Trap(trap))
    pickle.loads(pickled)
    assert trap.exists()  # it would be seen
    trap.unlink()
    async with opened(transport, Hub(), Named) as door, door.connect() as client:
        await client.receive()
        await client.send(pickled)
        assert (await client.receive()).raw == pickled
        text = base64.b64encode(pickled).decode()
        await client.send(f'{{"type":"post","data":"{text}","id":1}}')
        assert (await client.receive()).data == text
        header = b'{"type":"post","id":2}'
        await client.send(len(header).to_bytes(2, "big") + header + pickled)
        await client.receive()

    assert not trap.exists()


def test_nothing_that_runs_what_it_reads_is_imported() -> None:
    """Neither here nor in a layer; nor is a text evaluated."""
    found = []
    for path in (ROOT / "src/roomful").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [node.func.id]
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                else []
            )
            if {name.partition(".")[0] for name in names} & (DANGEROUS | {"eval", "exec"}):
                found.append(f"{path.name}:{node.lineno}")

    assert found == []


async def test_compressed_bomb_is_not_unpacked() -> None:
    """Compression is declined, and a frame that says it is compressed all the same ends its connection: 1002."""
    async with opened("roomful", Hub(), Named) as door:
        status, headers, _ = await request(
            door.port,
            "GET / HTTP/1.1\nHost: localhost\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        )
        assert status == 101
        assert "sec-websocket-extensions" not in headers

        client = await RawClient.connect(door.port, "/")
        packer = zlib.compressobj(wbits=-15)
        client.frame(0x80 | 0x40 | 0x02, packer.compress(bytes(50_000_000)) + packer.flush())
        await until(lambda: client.close_code is not None)
        client.hang_up()

    assert client.close_code == CloseCode.PROTOCOL_ERROR


async def test_ids_cannot_be_guessed_from_each_other(transport: str) -> None:
    """96 random bits: of ids that one client sees, no two share a beginning or an end that would help."""
    ids = []
    async with opened(transport, Hub(), Named) as door:
        for _ in range(20):
            async with door.connect() as client:
                ids.append(str((await client.receive()).data).partition(".")[0])

    assert {len(id_) for id_ in ids} == {16}
    assert len({id_[:4] for id_ in ids}) == len({id_[-4:] for id_ in ids}) == 20


@pytest.mark.parametrize("offered", ["é", "\xff\xfe", "a\x00b", "x" * 5000])
async def test_odd_subprotocol_does_not_end_the_server(transport: str, offered: str) -> None:
    """Refused or ignored; the next client comes in."""
    async with opened(transport, Hub(), Named) as door:
        status, headers = await offer(door, offered)
        assert status in (101, 400, None)
        assert "sec-websocket-protocol" not in headers
        async with door.connect() as client:
            assert (await client.receive()).type == "hello"
