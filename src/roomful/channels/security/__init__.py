"""Where a connection may come from."""
