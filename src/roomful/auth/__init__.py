"""Auth: who may enter, from where, how many, and what they may ask for.

It knows scopes and tokens, and neither sockets, rooms nor frameworks. `JwtAuth` and `Jwks` need PyJWT, which is loaded
when one of them is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .admission import Admission
from .origins import Origins
from .permissions import Permissions
from .sources import Cookie, Header, Query, Source, Subprotocol
from .tickets import TicketApp, Tickets

if TYPE_CHECKING:
    from .jwks import Jwks
    from .jwt_auth import JwtAuth

__all__ = (
    "Admission",
    "Cookie",
    "Header",
    "Jwks",
    "JwtAuth",
    "Origins",
    "Permissions",
    "Query",
    "Source",
    "Subprotocol",
    "TicketApp",
    "Tickets",
)


def __getattr__(name: str) -> object:
    if name not in ("Jwks", "JwtAuth"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .jwks import Jwks  # noqa: PLC0415 -- PyJWT is optional
        from .jwt_auth import JwtAuth  # noqa: PLC0415 -- likewise
    except ImportError as error:
        raise ImportError(f"{name} needs PyJWT: pip install 'roomful[auth]'") from error
    return {"Jwks": Jwks, "JwtAuth": JwtAuth}[name]
