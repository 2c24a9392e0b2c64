"""Secrets are nowhere: no log line, no repr and no error shows a token, a ticket or a payload."""

from __future__ import annotations

import ast
import contextlib
import gc
import json
import logging
from pathlib import Path
from typing import Any, Final

import pytest

from roomful import Admission, Consumer, Event, Hub, JwtAuth, Permissions, Tickets, on
from roomful.auth import Cookie, Header, Query, Subprotocol, TicketApp
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from roomful.testing import Refused
from tests.auth.keys import SECRET, token
from tests.security.door import bearer, control, opened, request, until_closed

PLANTED: Final = "pLaNtEd"
ROOT: Final = Path(__file__).parents[2]


class Talkative(Consumer):
    """Fails in all the ways in which a consumer may, with a payload in its hands."""

    async def connect(self) -> None:
        await self.send(Event("hello", {"secret": PLANTED}))

    @on("fail")
    async def fail(self, data: object) -> None:
        raise RuntimeError("the text of the program's own error is its own business")

    @on("join")
    async def to_join(self, data: str) -> None:
        await self.join("closed")

    @on("number")
    async def number(self, data: int) -> None:
        raise AssertionError("not reached")

    @on("push")
    async def to_push(self, data: object) -> None:
        await self.hub.push("open", Event("pushed", data), key="k")


def planted_token(**claims: Any) -> str:
    """Return a token whose claims and whose own text are looked for."""
    made = token(secret=PLANTED, **claims)
    SECRETS.update(made.split("."))
    return made


SECRETS: set[str] = {PLANTED, SECRET}


async def test_no_secret_is_written_down(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    """Everything that can go wrong goes wrong, with every log at its most talkative and every object shown.

    uvicorn's own classes write each header and each frame at DEBUG, which is theirs to do.
    """
    for name in ("roomful", *logging.root.manager.loggerDict):
        talks = name.partition(".")[0] == "roomful" or transport == "roomful"
        if name.partition(".")[0] in ("roomful", "uvicorn"):
            caplog.set_level("DEBUG" if talks else "INFO", name)
    sources = (Header(), Cookie("session"), Subprotocol(), Query("token"))
    jwt_auth = JwtAuth(key=SECRET, algorithms=["HS256"], sources=sources)
    tickets = Tickets()
    permissions = Permissions()
    permissions.allow("open")
    hub = Hub(
        auth=[jwt_auth, tickets],
        permissions=permissions,
        admission=Admission(max_per_principal=3, messages_per_s=100, burst_s=0.05),
    )
    app = ProtocolTypeRouter(
        {
            "http": TicketApp(tickets, auth=jwt_auth),
            "websocket": URLRouter([route("/ws", Talkative.as_asgi(hub=hub))]),
        },
        hub=hub,
    )
    async with opened(transport, hub, app=app) as door:
        _, _, body = await request(
            door.port,
            f"POST / HTTP/1.1\nHost: localhost\nContent-Length: 0\nAuthorization: Bearer {planted_token()}",
        )
        ticket = json.loads(body)["ticket"]
        SECRETS.add(ticket)
        right, wrong = planted_token(), planted_token(key="x" * 40)
        hows: list[dict[str, Any]] = [
            {"path": f"/ws?ticket={ticket}"},
            {"path": f"/ws?ticket={ticket}"},
            {"path": f"/ws?token={right}"},
            {"path": f"/ws?token={wrong}"},
            {"path": f"/ws?token={right}", "headers": {"Origin": "https://evil.example"}},
            {"path": f"/ws?ticket={PLANTED}", "headers": bearer(wrong)},
            {"path": "/ws", "headers": bearer(right)},
            {"path": "/ws", "headers": bearer(wrong)},
            {"path": "/ws", "headers": bearer(planted_token(exp=1))},
            {"path": "/ws", "headers": bearer(PLANTED)},
            {"path": "/ws", "cookies": {"session": wrong}},
            {"path": "/ws", "subprotocols": ["roomful", f"roomful.token.{wrong}"]},
            {"path": "/ws", "subprotocols": ["roomful", f"roomful.token.{right}"]},
        ]
        async with contextlib.AsyncExitStack() as stack:
            for how in hows:
                with contextlib.suppress(Refused):
                    client = await stack.enter_async_context(door.connect(**how))
                    await client.receive()
                    for message in (
                        f'{{"type":"fail","data":"{PLANTED}","id":1}}',
                        f'{{"type":"join","data":"{PLANTED}","id":2}}',
                        f'{{"type":"number","data":"{PLANTED}","id":3}}',
                        f'{{"type":"push","data":"{PLANTED}","id":4}}',
                        f'{{"type":"{PLANTED[:1]}","data":"{PLANTED}","id":5}}',
                        f'{{"{PLANTED}',
                        f"{PLANTED}".encode(),
                        control("refresh", wrong, 6),
                        control("refresh", planted_token(), 7),
                        f'{{"type":"roomful.refresh","data":"{PLANTED}","id":8}}',
                    ):
                        await client.send(message)
                        await client.receive()
            shown = _all_reprs()
            await hub.disconnect(principal="ada")
            del client

    told = [record for record in caplog.records if record.name == "roomful.audit"]
    assert {record.audit["event"] for record in told} >= {
        "admitted",
        "refused",
        "renewed",
        "revoked",
        "limited",
    }  # type: ignore[attr-defined] # set by the log
    written = caplog.text + "".join(repr(record.__dict__.get("audit")) for record in caplog.records)
    for secret in SECRETS:
        if len(secret) > 6:
            assert secret not in written, _line_with(written, secret)
            assert secret not in shown, _line_with(shown, secret)


def _all_reprs() -> str:
    """Return what the library's living objects show of themselves."""
    lines = []
    for thing in gc.get_objects():
        module = getattr(type(thing), "__module__", "")
        if isinstance(module, str) and module.startswith("roomful.") and "testing" not in module:
            lines.append(f"{type(thing).__name__}: {thing!r}")
    assert len(lines) > 50
    return "\n".join(lines)


def _line_with(text: str, secret: str) -> str:
    return next(line for line in text.splitlines() if secret in line)[:500]


def test_secrets_are_not_compared_by_hand() -> None:
    """In the code of the door no name of a secret stands beside `==`; what compares is PyJWT, and a hash as a key."""
    secret_names = {"token", "ticket", "secret", "signature", "key", "mac", "digest", "password"}
    wrong = []
    for path in [*(ROOT / "src/roomful/auth").glob("*.py"), ROOT / "src/roomful/endpoint/guard.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                names = {
                    getattr(side, "id", getattr(side, "attr", None))
                    for side in (node.left, *node.comparators)
                }
                if names & secret_names:
                    wrong.append(f"{path.name}:{node.lineno}")

    assert wrong == []


async def test_closing_reason_says_nothing_of_a_token(transport: str) -> None:
    """What a client is told is a sentence of ours."""
    hub = Hub(auth=JwtAuth(key=SECRET, algorithms=["HS256"], first_message=True))
    async with opened(transport, hub) as door, door.connect("/") as client:
        await client.send(control("authenticate", planted_token(key="x" * 40)))
        received, code, reason = await until_closed(client)

    assert (received, code, reason) == ([], 4500, "token is not valid")
