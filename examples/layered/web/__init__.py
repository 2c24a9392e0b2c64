"""HTTP and the socket: the application as the world meets it."""
