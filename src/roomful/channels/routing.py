"""Channels' routers, as they are."""

from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter, get_default_application

__all__ = ("ChannelNameRouter", "ProtocolTypeRouter", "URLRouter", "get_default_application")
