"""The rules: what a room is, who may enter it, and the ports that the use cases need."""
