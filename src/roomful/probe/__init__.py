"""The capacity probe: load any WebSocket server, keep a ledger of every message, find where it breaks.

It imports nothing of the library but `roomful.core.ledger`, so that it measures ours as it measures others.
`roomful.probe.command` is the way in; `roomful.probe.adapter` is what a protocol of one's own implements.
"""

__all__: tuple[str, ...] = ()
