"""Where the server is, and how to come in: read from a URL.

It opens nothing. The password never enters a text that is shown.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ...core.errors import LayerError

__all__ = ("SCHEMES", "Address")

SCHEMES: Final = ("redis", "rediss", "unix")

_TLS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_CERT_REQS: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


@dataclass(frozen=True, slots=True)
class Address:
    """A server.

    Attributes:
        host: Its name, where it is reached over TCP.
        port: Its port.
        path: Its Unix socket, where it is reached by that.
        database: The number of its database.
        username: Whom to come in as.
        password: With what.
        tls: What the URL says of TLS, or None for none.
    """

    host: str = ""
    port: int = 6379
    path: str = ""
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: dict[str, str] | None = None

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'redis' if self.tls is None else 'rediss'}://{host}:{self.port}/{self.database}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what TLS needs, or None for a plain connection.

        Raises:
            LayerError: A certificate cannot be read, or a setting is unknown.
        """
        if self.tls is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls.get("ssl_ca_certs"))
            requirement = _CERT_REQS[self.tls.get("ssl_cert_reqs", "required")]
            checks = self.tls.get("ssl_check_hostname", "true").lower() in {"1", "true", "yes"}
            context.check_hostname = checks and requirement is not ssl.CERT_NONE
            context.verify_mode = requirement
            if "ssl_certfile" in self.tls:
                context.load_cert_chain(self.tls["ssl_certfile"], self.tls.get("ssl_keyfile"))
        except (OSError, KeyError) as error:
            raise LayerError(f"TLS settings of {self} cannot be used: {error}") from error
        return context

    @classmethod
    def parse(cls, url: str) -> tuple[Address, dict[str, str]]:
        """Read `redis://user:password@host:port/database?…`; return the address and the other options.

        Raises:
            LayerError: The URL names no server; the text holds no password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or 6379
        except ValueError as error:
            raise LayerError(f"URL of the layer is malformed: {error}") from None
        if parts.scheme not in SCHEMES:
            raise LayerError(
                f"no server for URLs that begin with {parts.scheme!r}; expected one of {SCHEMES}"
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        is_unix = parts.scheme == "unix"
        if is_unix and not parts.path:
            raise LayerError("URL of the layer has no path; expected unix:///path/of/the/socket")
        database = options.pop("db", "") or ("" if is_unix else parts.path.strip("/")) or "0"
        if not database.isdecimal():
            raise LayerError(f"database of the layer is {database!r}; expected a number")
        tls: dict[str, str] = {name: options.pop(name) for name in _TLS if name in options}
        if tls and parts.scheme != "rediss":
            raise LayerError(f"{min(tls)} is for rediss:// alone; this URL begins with {parts.scheme}://")
        return (
            cls(
                host="" if is_unix else unquote(parts.hostname or "localhost"),
                port=port,
                path=unquote(parts.path) if is_unix else "",
                database=int(database),
                username=unquote(parts.username or ""),
                password=unquote(parts.password or ""),
                tls=tls if parts.scheme == "rediss" else None,
            ),
            options,
        )
