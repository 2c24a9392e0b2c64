"""Attacks on the door of a real server, with what came of them, what they cost it, and whether a neighbour noticed.

    python -m tests.security.bench.attacks

Each line: the attack, how often, the answers, the server's CPU for one, how much its memory grew, and the longest that
a neighbour's echo took meanwhile.
"""

# ruff: noqa: T201  # a program prints

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from roomful import Admission, Consumer, Hub, JwtAuth, Tickets, on
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from tests.auth.keys import SECRET, pem, token, unsigned
from tests.security.bench.door_costs import Server, handshake

__all__ = ("app",)

COUNT: Final = 1000


class Open(Consumer):
    @on("echo")
    async def echo(self, data: object) -> object:
        return data


hub = Hub(
    auth=[JwtAuth(key=SECRET, algorithms=["HS256"], first_message=True), Tickets()],
    admission=Admission(authentication_timeout_s=2.0, messages_per_s=500.0, burst_s=1.0),
)
keys = Hub(auth=JwtAuth(key=pem("RS256"), algorithms=["RS256"]))
app: Any = ProtocolTypeRouter(
    {"websocket": URLRouter([route("/door", Open.as_asgi(hub=hub)), route("/keys", Open.as_asgi(hub=keys))])},
    hub=hub,
)


def text_frame(text: str) -> bytes:
    """Return a masked frame, whose mask of zeros leaves the text as it is."""
    data = text.encode()
    size = len(data)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + data


async def refused(port: int, request: bytes) -> str:
    """Shake hands; return the status, or the close code of what was accepted first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(15):
            head = await reader.readuntil(b"\r\n\r\n")
            return head.split(b" ")[1].decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return "no answer"
    finally:
        writer.transport.abort()


async def within(port: int, *messages: str, first: str | None = None, in_turn: bool = False) -> str:
    """Come in, send messages, and return the close code, or that there is none.

    In turn, each waits for the answer to the one before it: while a refresh is under way another one is no guess.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        header = "" if first is not None else f"Authorization: Bearer {token()}\r\n"
        writer.write(handshake("door", header))
        await reader.readuntil(b"\r\n\r\n")
        for message in messages[:1] if in_turn else messages:
            writer.write(text_frame(message))
        async with asyncio.timeout(6):
            answers = 0
            while True:
                start = await reader.readexactly(2)
                size = start[1] if start[1] < 126 else int.from_bytes(await reader.readexactly(2), "big")
                body = await reader.readexactly(size)
                if start[0] == 0x88:
                    return f"closed {int.from_bytes(body[:2], 'big')}"
                answers += 1
                if answers == len(messages):
                    return "answered"
                if in_turn:
                    writer.write(text_frame(messages[answers]))
    except (asyncio.IncompleteReadError, ConnectionError):
        return "lost"
    finally:
        writer.transport.abort()


def refresh(text: str) -> str:
    return f'{{"type":"roomful.refresh","data":{{"token":"{text}"}}}}'


def attacks(port: int) -> dict[str, tuple[int, Callable[[], Awaitable[str]]]]:
    """Return the attacks: how often, and what one is."""

    def bearer(text: str, path: str = "door") -> Callable[[], Awaitable[str]]:
        return lambda: refused(port, handshake(path, f"Authorization: Bearer {text}\r\n"))

    claims = {"sub": "ada", "exp": time.time() + 3600}
    deep = '{"type":"roomful.refresh","data":' + "[" * 15_000
    return {
        "alg none": (COUNT, bearer(unsigned({"alg": "none"}, claims))),
        "HS256 where RS256 is allowed": (COUNT, bearer(token("HS256", key=SECRET), "keys")),
        "wrong key": (COUNT, bearer(token(key="x" * 40))),
        "expired": (COUNT, bearer(token(exp=1))),
        "tampered": (COUNT, bearer(token()[:-4] + "AAAA")),
        "nested header": (COUNT, bearer(unsigned(b"[" * 5000, {}, b"x"))),
        "not UTF-8": (COUNT, bearer("\xff\xfe.\xff.\xff")),
        "token of 60 KB": (COUNT // 10, bearer("x" * 60_000)),
        "cross-site handshake": (
            COUNT,
            lambda: refused(
                port,
                handshake("door", f"Origin: https://evil.example\r\nAuthorization: Bearer {token()}\r\n"),
            ),
        ),
        "guessed ticket": (COUNT, lambda: refused(port, handshake(f"door?ticket={'x' * 43}"))),
        "first message that is none": (COUNT, lambda: within(port, "hello", first="")),
        "no first message at all": (300, lambda: within(port, first="")),
        "guessed refresh, six times": (
            COUNT // 5,
            lambda: within(port, *[refresh("x")] * 6, in_turn=True),
        ),
        "nested refresh": (COUNT // 5, lambda: within(port, deep)),
        "flood of 2,000 messages": (20, lambda: within(port, *['{"type":"echo","data":1,"id":1}'] * 2000)),
    }


async def neighbour(port: int, worst: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(handshake("door", f"Authorization: Bearer {token()}\r\n"))
    await reader.readuntil(b"\r\n\r\n")
    try:
        while True:
            began = time.perf_counter()
            writer.write(text_frame('{"type":"echo","data":1,"id":1}'))
            await reader.readexactly(2 + len('{"reply":1,"data":1}'))
            worst[0] = max(worst[0], time.perf_counter() - began)
            await asyncio.sleep(0.05)
    finally:
        writer.transport.abort()


async def main() -> None:
    server = Server("tests.security.bench.attacks:app")
    status = Path(f"/proc/{server.pid}/status")

    def resident_kb() -> int:
        return int(next(line for line in status.read_text().splitlines() if "VmRSS" in line).split()[1])

    worst = [0.0]
    watching = asyncio.create_task(neighbour(server.port, worst))
    try:
        await refused(server.port, handshake("door", "Authorization: Bearer x\r\n"))
        for name, (count, attack) in attacks(server.port).items():
            worst[0] = 0.0
            memory, cpu = resident_kb(), server.cpu_s()
            answers: Counter[str] = Counter()
            for begin in range(0, count, 50):
                answers.update(await asyncio.gather(*(attack() for _ in range(min(50, count - begin)))))
            used = (server.cpu_s() - cpu) / count * 1e3
            told = ", ".join(f"{answer} × {number}" for answer, number in answers.items())
            grown = resident_kb() - memory
            print(
                f"{name} × {count}: {told}; {used:.2f} ms CPU each; {grown:+d} KB; neighbour {worst[0] * 1e3:.0f} ms"
            )
    finally:
        watching.cancel()
        server.stop()


if __name__ == "__main__":
    asyncio.run(main())
