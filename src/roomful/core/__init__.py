"""The words, values and ports that every other part of Roomful is built from.

Nothing here performs I/O, knows an event loop or imports a third-party package.
"""

__all__: tuple[str, ...] = ()
