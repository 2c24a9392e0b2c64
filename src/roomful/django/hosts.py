"""Hosts: Redis servers as channels_redis takes them, read as the URLs of our layer.

It opens nothing. What we cannot do is told instead of being passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

from channels.exceptions import InvalidChannelLayerError

__all__ = ("urls_of",)

_OF_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")


def urls_of(hosts: Iterable[object] | str) -> tuple[str, ...]:
    """Return the URL of each host.

    Args:
        hosts: URLs, pairs of name and port, or dicts as redis-py has them: `address` or `host`, `port`, `path`, `db`,
            `username`, `password`, and what TLS needs.

    Raises:
        InvalidChannelLayerError: A host is none of these, or needs what this layer does not have.
    """
    if isinstance(hosts, str | bytes | Mapping):
        raise InvalidChannelLayerError(
            "hosts is no list; expected a list of Redis hosts, even if there is only one"
        )
    return tuple(_url_of(host) for host in hosts)


def _url_of(host: object) -> str:
    if isinstance(host, str):
        return host
    if isinstance(host, tuple | list) and len(host) == 2:
        return _from_dict({"host": host[0], "port": host[1]})
    if isinstance(host, Mapping):
        return _from_dict(host)
    raise InvalidChannelLayerError(
        f"host is of type {type(host).__name__}; expected a URL, a pair of name and port, or a dict"
    )


def _from_dict(given: Mapping[str, object]) -> str:
    host = dict(given)
    if "sentinels" in host or "master_name" in host:
        raise InvalidChannelLayerError(
            "host names sentinels, which this layer does not ask; name the server itself"
        )
    address = host.pop("address", None)
    tls = {name: str(host.pop(name)) for name in _OF_TLS if name in host}
    is_tls = bool(host.pop("ssl", False)) or bool(tls)
    name, port, path = host.pop("host", "localhost"), host.pop("port", 6379), host.pop("path", "")
    database, username, password = host.pop("db", 0), host.pop("username", ""), host.pop("password", "")
    if host:
        raise InvalidChannelLayerError(
            f"host has {min(host)!r}, which this layer does not have; expected address, or host, port, path, db, "
            "username, password and what TLS needs"
        )
    if address is not None:
        joint = "&" if "?" in str(address) else "?"
        return f"{address}{joint}{urlencode(tls)}" if tls else str(address)
    login = (
        f"{quote(str(username), safe='')}:{quote(str(password), safe='')}@" if password or username else ""
    )
    if path:
        return f"unix://{login}{path}?db={database}"
    text = f"[{name}]" if ":" in str(name) else str(name)
    options = f"?{urlencode(tls)}" if tls else ""
    return f"{'rediss' if is_tls else 'redis'}://{login}{text}:{port}/{database}{options}"
