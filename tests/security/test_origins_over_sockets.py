"""Cross-site WebSocket hijacking: a page of somebody else gets nothing, whatever cookies its visitor has."""

from __future__ import annotations

from typing import Any

import pytest

from roomful import Hub, JwtAuth
from roomful.auth import Cookie, Origins
from roomful.testing import Refused
from tests.auth.keys import SECRET, token
from tests.security.door import opened

COOKIES = {"session": token()}


def auth() -> JwtAuth:
    return JwtAuth(key=SECRET, algorithms=["HS256"], sources=(Cookie("session"),))


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "http://127.0.0.1:{port}@evil.example",
        "null",
        "",
        "\xff",
    ],
)
async def test_page_of_others_is_refused(transport: str, origin: str) -> None:
    """The cookie is right, and does not help."""
    async with opened(transport, Hub(auth=auth())) as door:
        with pytest.raises(Refused) as refused:
            await door.connect(
                cookies=COOKIES, headers={"Origin": origin.format(port=door.port)}
            ).__aenter__()

    assert (refused.value.status, refused.value.body) == (403, b"origin is not allowed\n")


async def test_own_page_may_come(transport: str) -> None:
    """And a client that is no browser."""
    async with opened(transport, Hub(auth=auth())) as door:
        for headers in ({"Origin": f"http://127.0.0.1:{door.port}"}, {}):
            async with door.connect(cookies=COOKIES, headers=headers) as client:
                assert (await client.receive()).data == "ada"


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (["https://app.example"], "https://app.example", True),
        (["https://*.example"], "https://app.example", True),
        (["https://app.example"], "https://other.example", False),
        ("*", "https://evil.example", True),
        (Origins(required=True), None, False),
    ],
)
async def test_setting_opens_what_it_names(
    transport: str, origins: Any, origin: str | None, allowed: bool
) -> None:
    """And nothing beside it."""
    hub = Hub(auth=auth(), origins=origins)
    headers = {} if origin is None else {"Origin": origin}
    async with opened(transport, hub) as door:
        connecting = door.connect(cookies=COOKIES, headers=headers)
        if allowed:
            async with connecting as client:
                assert (await client.receive()).data == "ada"
        else:
            with pytest.raises(Refused):
                await connecting.__aenter__()


async def test_hub_without_any_setting_refuses_pages_of_others(transport: str) -> None:
    """Safe before anybody configures it."""
    async with opened(transport, Hub()) as door:
        with pytest.raises(Refused) as refused:
            await door.connect(headers={"Origin": "https://evil.example"}).__aenter__()

    assert refused.value.status == 403
