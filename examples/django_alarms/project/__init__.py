"""The project: settings, addresses, and the ASGI application."""
