"""Turn requests into use cases, and what comes of them into responses."""
