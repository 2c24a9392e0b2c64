"""Channel layers by their alias in `CHANNEL_LAYERS`, and our layer of one process under Channels' name."""

from channels.layers import BaseChannelLayer, ChannelLayerManager, channel_layers, get_channel_layer

from ..django import ChannelLayer

__all__ = (
    "BaseChannelLayer",
    "ChannelLayerManager",
    "InMemoryChannelLayer",
    "channel_layers",
    "get_channel_layer",
)


class InMemoryChannelLayer(ChannelLayer):
    """`roomful.django.ChannelLayer` without Redis, where Channels' settings name one of this name."""

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: dict[object, int] | None = None,
    ) -> None:
        super().__init__(
            expiry=expiry, group_expiry=group_expiry, capacity=capacity, channel_capacity=channel_capacity
        )
