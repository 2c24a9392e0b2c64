"""Which layer a URL names.

It opens nothing; a layer is reached when the hub starts. A layer's own packages are imported only here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ..core.errors import LayerError
from ..core.ports import Layer
from ..layers.memory import MemoryLayer

if TYPE_CHECKING:
    from ..layers.redis import RedisLayer

__all__ = ("LAYER_VARIABLE", "default_layer", "default_urls", "layer_from_url", "redis_layer")

LAYER_VARIABLE: Final = "ROOMFUL_LAYER"
"""Names the layer of hubs that name none; `roomful serve` sets it for its workers."""

default_urls: Final[set[str]] = set()
"""The URLs that `default_layer` has used in this process."""

_REDIS: Final = ("redis", "rediss", "unix")


def default_layer(*, shared: bool) -> Layer:
    """Return the layer of a hub that names none: what the environment names, else the memory layer.

    Args:
        shared: Whether the hub's rooms are to reach every worker process.

    Raises:
        LayerError: The environment names no layer, or a package is missing.
    """
    url = os.environ.get(LAYER_VARIABLE, "") if shared else ""
    if not url:
        return MemoryLayer()
    default_urls.add(url)
    return layer_from_url(url)


def layer_from_url(url: str) -> Layer:
    """Return the layer that `url` names: `memory://`, `redis://`, `rediss://`, `unix://` or `embedded://`.

    Raises:
        LayerError: No layer has this scheme, an option is unknown, or a package is missing.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme == "memory":
        return MemoryLayer()
    if separator and scheme in _REDIS:
        return redis_layer(url)
    if separator and scheme == "embedded":
        if (url := os.environ.get(LAYER_VARIABLE, "")) and not url.startswith("embedded"):
            return default_layer(shared=True)  # the parent of the workers runs the server
        try:
            from ..layers.redis.embedded import EmbeddedLayer  # noqa: PLC0415 -- its packages are optional
        except ModuleNotFoundError as error:
            raise _missing("embedded", error) from None
        return EmbeddedLayer()
    raise LayerError(
        f"no layer for URLs that begin with {scheme!r}; expected memory://, redis://, rediss://, unix:// or embedded://"
    )


def redis_layer(url: str) -> RedisLayer:
    """Return the Redis layer that `url` names.

    Raises:
        LayerError: An option is unknown, or a package is missing.
    """
    try:
        from ..layers.redis import RedisLayer  # noqa: PLC0415 -- its packages are optional
    except ModuleNotFoundError as error:
        raise _missing("redis", error) from None
    return RedisLayer(url)


def _missing(extra: str, error: ModuleNotFoundError) -> LayerError:
    return LayerError(f"this layer needs {error.name}: pip install 'roomful[{extra}]'")
