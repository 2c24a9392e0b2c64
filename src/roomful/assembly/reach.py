"""Reach: what a hub needs of its layer, and what is wrong with one that does not give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.capabilities import KeyedState
from ..core.errors import LayerError, NotShared

if TYPE_CHECKING:
    from ..core.ports import Layer

__all__ = ("check_reach", "keyed_state")


def check_reach(layer: Layer, workers: int, *, shares_rooms: bool, keeps_state: bool) -> None:
    """See that the layer reaches every worker process, if something has to.

    Args:
        layer: The hub's.
        workers: How many processes the server runs.
        shares_rooms: Whether pushes are to reach the rooms of every process.
        keeps_state: Whether something is kept in the layer that every process must find.

    Raises:
        NotShared: It reaches one of several.
    """
    if workers <= 1 or layer.shared:
        return
    if keeps_state:
        raise NotShared(
            f"tickets of one process are unknown to the other {workers - 1}; name a shared layer for them"
        )
    if shares_rooms:
        raise NotShared(
            f"{type(layer).__name__} reaches one process and the server runs {workers}; name a shared layer "
            "(redis://…), install roomful[embedded] and use roomful serve, or say Hub(shared=False)"
        )


def keyed_state(layer: Layer, user: object) -> KeyedState:
    """Return the layer as one that keeps values for a while.

    Raises:
        LayerError: It keeps none; the text names `user`.
    """
    if not isinstance(layer, KeyedState):
        raise LayerError(
            f"{type(user).__name__} needs a layer that keeps values for a while; {type(layer).__name__} does not"
        )
    return layer
