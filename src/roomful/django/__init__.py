"""Django: the hub of `ROOMFUL`, consumers that know users and databases, and a layer for Channels."""

from .channel_layer import ChannelLayer

__all__ = ("ChannelLayer",)
