"""The files of this package as an ASGI application.

It is no static file server: two files are read once, when the module is imported, and nothing else can be had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

__all__ = ("SCRIPT", "TYPES", "app")

SCRIPT: Final[Path] = Path(__file__).with_name("roomful.js")
"""The module, for a build step that wants to copy it or for a static file server of your own."""

TYPES: Final[Path] = Path(__file__).with_name("roomful.d.ts")
"""Its types, for TypeScript and for editors."""

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Scope], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

_PLAIN: Final = b"text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _File:
    """One file, ready to be sent."""

    body: bytes
    etag: bytes
    headers: Headers

    @classmethod
    def read(cls, path: Path, media_type: bytes) -> _File:
        body = path.read_bytes()
        etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
        headers = [
            (b"etag", etag),
            # A page and its server change together, so the browser asks each time; 304 makes that cheap.
            (b"cache-control", b"no-cache"),
            (b"content-type", media_type),
            (b"content-length", b"%d" % len(body)),
            (b"x-content-type-options", b"nosniff"),
            # The file is the same for everybody and no secret, so that pages of other origins may import it.
            (b"access-control-allow-origin", b"*"),
        ]
        return cls(body, etag, headers)


_FILES: Final = {
    # A browser refuses modules that are not called JavaScript.
    "/roomful.js": _File.read(SCRIPT, b"text/javascript; charset=utf-8"),
    # TypeScript has no media type of its own: `.ts` is registered for video.
    "/roomful.d.ts": _File.read(TYPES, _PLAIN),
}


async def app(scope: Scope, receive: Callable[[], Awaitable[Scope]], send: Send) -> None:
    """Serve `roomful.js` and `roomful.d.ts` (ASGI 3), at the root or under any mount.

    `GET` and `HEAD`, with an `ETag` and 304; 405 for other methods, 404 for other paths. A WebSocket is refused.

    Raises:
        ValueError: The scope is neither `http` nor `websocket`; servers take that as *knows no lifespan*.
    """
    del receive  # a request's body is of no interest
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    elif scope["type"] != "http":
        raise ValueError(f"scope type is {scope['type']!r}; expected 'http'")
    elif (file := _FILES.get(_path(scope))) is None:
        await _answer(scope, send, 404, b"not found\n", [])
    elif scope["method"] not in ("GET", "HEAD"):
        await _answer(scope, send, 405, b"method not allowed\n", [(b"allow", b"GET, HEAD")])
    elif _is_known(scope, file.etag):
        # What a 200 would say of caching and access, and nothing of the body (RFC 9110 §15.4.5).
        kept = [(name, value) for name, value in file.headers if not name.startswith(b"content-")]
        await _respond(send, 304, b"", kept)
    else:
        await _respond(send, 200, b"" if scope["method"] == "HEAD" else file.body, file.headers)


def _path(scope: Scope) -> str:
    """Return the path below the root path; not every server and framework leaves the one in front of the other."""
    path: str = scope["path"]
    root: str = (scope.get("root_path") or "").rstrip("/")
    rest = path.removeprefix(root)
    return rest if rest.startswith("/") else path


def _is_known(scope: Scope, etag: bytes) -> bool:
    """Whether the client has this very file (RFC 9110 §13.1.2; the comparison is weak)."""
    given = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    return given.strip() == b"*" or etag in (tag.strip().removeprefix(b"W/") for tag in given.split(b","))


async def _answer(scope: Scope, send: Send, status: int, text: bytes, headers: Headers) -> None:
    lines = [(b"content-type", _PLAIN), (b"content-length", b"%d" % len(text)), *headers]
    await _respond(send, status, b"" if scope["method"] == "HEAD" else text, lines)


async def _respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
