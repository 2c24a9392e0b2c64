"""A web API in layers that tells its clients what happens in their rooms.

    web        handler · router · ws          HTTP, the socket, and the adapter from a port to the hub
    usecase    JoinRoom · LeaveRoom · …       one class for each thing that somebody can do
    domain     entity · repository · service   rules, and the ports that the rules need
    database   the repository, on SQLAlchemy

Imports point inwards: `domain` imports nothing of the others, `usecase` only `domain`, and neither of them
Roomful. `app.py` is the one place that knows all parts and puts them together.
"""
