"""Django looks for commands below this package."""

__all__ = ()
