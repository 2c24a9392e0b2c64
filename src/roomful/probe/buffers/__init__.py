"""What socket buffers do when nobody reads: an experiment on this machine, and the same through a server."""

__all__: tuple[str, ...] = ()
