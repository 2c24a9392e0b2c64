"""Django: the hub of `ROOMFUL`, consumers that know users and databases, and a layer for Channels."""

from .channel_layer import ChannelLayer
from .consumer import Consumer
from .push import apush, push, push_on_commit
from .runtime import get_hub
from .session_auth import SessionAuth

__all__ = ("ChannelLayer", "Consumer", "SessionAuth", "apush", "get_hub", "push", "push_on_commit")
