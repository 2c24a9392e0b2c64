"""Serve an example's page: a folder of HTML, CSS and JavaScript, with headers that forbid everything else.

It is no static file server: only the files that lie there when the program starts can be had.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response

__all__ = ("add_page",)

LOOK: Final = Path(__file__).parent / "look"
"""What pages look like: a stylesheet for all, one for pages with a list, and an icon."""

# Not left to `mimetypes`, which asks the operating system and may get another answer.
MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS: Final = {
    # Scripts and styles come from files of ours alone, so that no text of a message can become one of them.
    # "blob:" lets a page show the images that arrived on its socket; 'self' covers the socket itself.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # An edited file shows at the next reload.
    "Cache-Control": "no-cache",
}


def add_page(app: FastAPI, folder: Path) -> None:
    """Serve each file of `folder` and of the common look under its name, `index.html` as the page itself."""
    for file in (*LOOK.iterdir(), *folder.iterdir()):
        if media_type := MEDIA_TYPES.get(file.suffix):
            app.router.add_route(
                "/" if file.name == "index.html" else f"/{file.name}", _serve(file, media_type)
            )


def _serve(file: Path, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return FileResponse(file, media_type=media_type, headers=HEADERS)

    return serve
