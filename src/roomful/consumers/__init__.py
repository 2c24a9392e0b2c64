"""Consumers: event-driven classes that handle one connection each, and how a message finds its handler.

They know the ports `Link` (their connection) and `Pusher` (the hub), and neither a socket nor a framework.
"""

from .answers import Answers
from .consumer import ConsumerBase, Scope
from .definition import Definition, HandlerSpec, definition_of, on, on_dispatch
from .plan import Bind, Binding, BoundCall, Plan, bind_plainly
from .session import Session
from .threads import Threads

__all__ = (
    "Answers",
    "Bind",
    "Binding",
    "BoundCall",
    "ConsumerBase",
    "Definition",
    "HandlerSpec",
    "Plan",
    "Scope",
    "Session",
    "Threads",
    "bind_plainly",
    "definition_of",
    "on",
    "on_dispatch",
)
