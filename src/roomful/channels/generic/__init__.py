"""Generic consumers."""

__all__ = ()
