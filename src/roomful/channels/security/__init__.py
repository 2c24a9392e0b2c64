"""Where a connection may come from."""

__all__ = ()
