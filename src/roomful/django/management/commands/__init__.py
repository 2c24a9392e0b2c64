"""The commands of `manage.py`."""

__all__ = ()
