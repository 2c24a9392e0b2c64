"""The exceptions of Channels, under their own names: code that catches one catches ours too."""

from channels.exceptions import (
    AcceptConnection,
    ChannelFull,
    DenyConnection,
    InvalidChannelLayerError,
    MessageTooLarge,
    RequestAborted,
    RequestTimeout,
    StopConsumer,
)

__all__ = (
    "AcceptConnection",
    "ChannelFull",
    "DenyConnection",
    "InvalidChannelLayerError",
    "MessageTooLarge",
    "RequestAborted",
    "RequestTimeout",
    "StopConsumer",
)
