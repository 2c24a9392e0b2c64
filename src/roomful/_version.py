"""The version of Roomful, in its only place.

The build reads this file as text, so it imports nothing.
"""

__all__ = ("__version__",)

__version__ = "0.1.0"
