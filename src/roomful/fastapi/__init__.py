"""FastAPI: consumers as routes, with path parameters, dependencies and security classes as FastAPI has them.

Only FastAPI's and Starlette's public API is used.
"""

from .route import consumer_route

__all__ = ("consumer_route",)
