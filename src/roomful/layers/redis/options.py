"""What a layer is told when it is made: by its arguments, and by its URL, which wins.

It opens nothing.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Final

from ...core.errors import LayerError
from .address import Address
from .publisher import Bounds

__all__ = ("Options",)

_POLICIES: Final = ("refuse", "local")


@dataclass(frozen=True, slots=True)
class Options:
    """Where the server is, and how the layer uses it.

    Attributes:
        address: The server.
        prefix: What all keys begin with.
        is_local: Whether each node carries its own pushes while the server is away.
        bounds: What may be under way, and for how long.
    """

    address: Address
    prefix: str
    is_local: bool
    bounds: Bounds

    @classmethod
    def read(cls, url: str, *, prefix: str, when_layer_is_down: str, bounds: Bounds) -> Options:
        """Read a URL; what it does not say is as the arguments do.

        Raises:
            LayerError: It names no server, or has an option that is not known or cannot be.
        """
        address, options = Address.parse(url)
        prefix = options.pop("prefix", prefix)
        policy = options.pop("when_layer_is_down", when_layer_is_down)
        if "hold_s" in options:
            bounds = dataclasses.replace(bounds, hold_s=_seconds(options.pop("hold_s")))
        if options:
            raise LayerError(f"URL of the layer has an unknown option {min(options)!r}")
        if "{" in prefix or not prefix:
            raise LayerError(f"prefix is {prefix!r}; expected at least one character, and no brace")
        if policy not in _POLICIES:
            raise LayerError(f"when_layer_is_down is {policy!r}; expected one of {_POLICIES}")
        return cls(address, prefix, policy == "local", bounds)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise LayerError(f"hold_s is {text!r}; expected a number of seconds")
    return seconds
