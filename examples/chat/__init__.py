"""A chat: rooms, names, who is typing, and images."""
