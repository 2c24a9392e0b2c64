"""The browser's side: `roomful.js`, a small module for pages, and the ASGI application that serves it.

    app.mount("/roomful", roomful.browser.app)         # FastAPI, Starlette
    mount("/roomful", roomful.browser.app)             # roomful.routing

It serves these files and no others, opens none while it serves, and needs no build step.
"""

from .files import SCRIPT, TYPES, app

__all__ = ("SCRIPT", "TYPES", "app")
