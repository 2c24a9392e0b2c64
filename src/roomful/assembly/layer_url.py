"""Which layer a URL names.

It opens nothing; a layer is reached when the hub starts.
"""

from __future__ import annotations

from ..core.errors import LayerError
from ..core.ports import Layer
from ..layers.memory import MemoryLayer

__all__ = ("layer_from_url",)


def layer_from_url(url: str) -> Layer:
    """Return the layer that `url` names: `memory://`.

    Raises:
        LayerError: No layer has this scheme.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme == "memory":
        return MemoryLayer()
    raise LayerError(f"no layer for URLs that begin with {scheme!r}; expected memory://")
