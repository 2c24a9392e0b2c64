"""FastAPI's own security classes do for a consumer what they do for an endpoint."""

import base64
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    OAuth2PasswordBearer,
    OpenIdConnect,
    SecurityScopes,
)

from roomful import Consumer, Event, Hub, JwtAuth, NotAuthenticated, Principal, on
from roomful.fastapi import consumer_route
from roomful.testing import Refused
from tests.auth.keys import SECRET, token
from tests.integration.transports import SERVERS
from tests.security.door import bearer, opened

BASIC = base64.b64encode(b"ada:secret").decode()

CLASSES: dict[str, tuple[Any, dict[str, Any], object]] = {
    "HTTPBearer": (HTTPBearer(), {"headers": bearer("abc")}, "abc"),
    "HTTPBasic": (HTTPBasic(), {"headers": {"Authorization": f"Basic {BASIC}"}}, "ada"),
    "OAuth2PasswordBearer": (OAuth2PasswordBearer("token"), {"headers": bearer("abc")}, "abc"),
    "OpenIdConnect": (OpenIdConnect(openIdConnectUrl="/x"), {"headers": bearer("abc")}, "Bearer abc"),
    "APIKeyHeader": (APIKeyHeader(name="X-Key"), {"headers": {"X-Key": "abc"}}, "abc"),
    "APIKeyCookie": (APIKeyCookie(name="key"), {"cookies": {"key": "abc"}}, "abc"),
    "APIKeyQuery": (APIKeyQuery(name="key"), {"path": "/ws?key=abc"}, "abc"),
}


@pytest.fixture(params=SERVERS)
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def shown(credentials: object) -> object:
    match credentials:
        case HTTPAuthorizationCredentials():
            return credentials.credentials
        case HTTPBasicCredentials():
            return credentials.username
    return credentials


@pytest.mark.parametrize("name", CLASSES)
async def test_security_class_guards_connect(transport: str, name: str) -> None:
    """With its credential it lets in and hands it over; without it refuses as FastAPI does."""
    security, how, expected = CLASSES[name]
    hub = Hub()
    app = FastAPI(lifespan=hub.lifespan)

    @consumer_route(app, "/ws", hub=hub)
    class Guarded(Consumer):
        async def connect(self, credentials: Annotated[Any, Depends(security)]) -> None:
            await self.send(Event("hello", shown(credentials)))

    async with opened(transport, hub, app=app) as door:
        async with door.connect(**{"path": "/ws", **how}) as client:
            assert (await client.receive()).data == expected
        with pytest.raises(Refused) as refused:
            await door.connect("/ws").__aenter__()

    assert refused.value.status in (401, 403)


async def test_security_class_guards_a_single_handler(transport: str) -> None:
    """It reads the handshake's headers for each message; what it refuses is an error reply."""
    hub = Hub()
    app = FastAPI(lifespan=hub.lifespan)

    @consumer_route(app, "/ws", hub=hub)
    class Guarded(Consumer):
        @on("admin")
        async def admin(self, data: object, key: Annotated[str, Depends(APIKeyHeader(name="X-Key"))]) -> str:
            return key

    async with opened(transport, hub, app=app) as door:
        async with door.connect("/ws", headers={"X-Key": "abc"}) as client:
            await client.send('{"type":"admin","id":1}')
            assert (await client.receive()).data == "abc"
        async with door.connect("/ws") as client:
            await client.send('{"type":"admin","id":1}')
            error = (await client.receive()).error

    assert error is not None
    assert error.code in ("http_401", "http_403")


async def test_scopes_and_users_work_as_in_an_endpoint(transport: str) -> None:
    """`Security` with scopes, a dependency of the program's own behind it, and our judge of tokens at its bottom."""
    hub = Hub()
    app = FastAPI(lifespan=hub.lifespan)
    judge = JwtAuth(key=SECRET, algorithms=["HS256"])

    async def current(
        needed: SecurityScopes, text: Annotated[str, Depends(OAuth2PasswordBearer("token"))]
    ) -> Principal:
        try:
            principal = await judge.verify(text)
        except NotAuthenticated as error:
            raise HTTPException(401, error.message, {"WWW-Authenticate": "Bearer"}) from None
        if not set(needed.scopes) <= set(str(principal.claims.get("scope", "")).split()):
            raise HTTPException(403, "more is needed")
        return principal

    class Guarded(Consumer):
        async def connect(self, user: Annotated[Principal, Security(current, scopes=["chat"])]) -> None:
            await self.send(Event("hello", user.id))

    # Its dependencies are local here, so that it is made with them in sight.
    consumer_route(app, "/ws", hub=hub)(Guarded)
    async with opened(transport, hub, app=app) as door:
        async with door.connect("/ws", headers=bearer(token(scope="chat read"))) as client:
            assert (await client.receive()).data == "ada"
        for text, status in ((token(scope="read"), 403), (token(exp=1), 401), ("x", 401)):
            with pytest.raises(Refused) as refused:
                await door.connect("/ws", headers=bearer(text)).__aenter__()
            assert refused.value.status == status


async def test_principal_of_the_hub_reaches_dependencies(transport: str) -> None:
    """What the hub's authenticator found stands in the scope that a dependency sees."""
    from fastapi import WebSocket

    hub = Hub(auth=JwtAuth(key=SECRET, algorithms=["HS256"]))
    app = FastAPI(lifespan=hub.lifespan)

    async def current(socket: WebSocket) -> Principal:
        principal: Principal = socket.scope["roomful"]
        return principal

    class Guarded(Consumer):
        async def connect(self, user: Annotated[Principal, Depends(current)]) -> None:
            await self.send(Event("hello", [user.id, self.principal.id]))

    consumer_route(app, "/ws", hub=hub)(Guarded)
    async with (
        opened(transport, hub, app=app) as door,
        door.connect("/ws", headers=bearer(token())) as client,
    ):
        assert (await client.receive()).data == ["ada", "ada"]
