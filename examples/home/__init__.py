"""The home page: what there is to try."""
