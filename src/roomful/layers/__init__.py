"""Layers: what carries events between processes and numbers them. Each is a module of its own."""

__all__: tuple[str, ...] = ()
