"""The causes: what each needs to be seen, what refutes it, which knob moves it and how far, and its cure.

Declarations alone. A cause belongs to symptoms, and only causes of one symptom are rivals.
Sentences name facts in braces; `{lone.echo_s}` is shown with its unit.
No cause rests on a counter of the kernel alone: those rise on sound machines too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from roomful.probe.diagnosis.conditions import Condition, at_least, at_most, is_no, is_true

__all__ = ("CAUSES", "Cause", "Effect", "cause_of")


@dataclass(frozen=True, slots=True)
class Effect:
    """What turning the knob from A to B does to a measure, if the cause is the right one.

    Attributes:
        measure: What is measured; see `intervention.measures`.
        says: What it is, in words.
        how: `proportional` to the knob; `grows` with it, at least by the factor `low`; or `vanishes` where the knob
            switches the cause off.
        low, high: How far from the proportion the ratio may be, as factors.
    """

    measure: str
    says: str
    how: str = "proportional"
    low: float = 0.75
    high: float = 1.33


@dataclass(frozen=True, slots=True)
class Cause:
    """One possible cause.

    Attributes:
        id, title: A stable word, and a name in words.
        symptoms: What it leads to.
        needs: What has to be seen for it; one that is seen otherwise refutes it.
        refuted_by: What speaks against it.
        sentence: The verdict.
        cure, knob: What to do, and which setting of a server moves it; empty for rivals that are never named.
        beside: What is worth showing with it, and decides nothing, such as counters of the kernel.
        because: Why it is refuted, in words, where that is more than a value.
        effect: What an intervention is to move.
    """

    id: str
    title: str
    symptoms: tuple[str, ...]
    needs: tuple[Condition, ...]
    sentence: str = ""
    cure: str = ""
    knob: str = ""
    refuted_by: tuple[Condition, ...] = ()
    beside: tuple[Condition, ...] = ()
    because: str = ""
    effect: Effect | None = None


_WRONG = ("corrupted", "duplicated", "reordered")

CAUSES: Final = (
    Cause(
        "blocking",
        "Blocking call in the event loop",
        ("slow",),
        (at_least("lone.blocked", 0.4), at_most("lone.cpu", 0.35)),
        "A call blocks the server's event loop: a message takes {lone.echo_s}, of which the server computes only "
        "{lone.cpu}, and meanwhile a ping on another connection waits too, for {lone.blocked} of that time.",
        "Await an asynchronous version of the call, or move it to a thread with asyncio.to_thread.",
        "how long the call takes",
        effect=Effect("lone_echo", "the time of a lone message"),
    ),
    Cause(
        "cpu",
        "CPU-bound handler",
        ("slow",),
        (at_least("lone.blocked", 0.4), at_least("lone.cpu", 0.65)),
        "The handler computes in the server's event loop: a message takes {lone.echo_s}, the server uses a core for "
        "{lone.cpu} of it, and meanwhile a ping on another connection waits too, for {lone.blocked} of that time.",
        "Compute in a process pool, or in a thread if the code releases the interpreter's lock; add worker processes.",
        "how much a message has to compute",
        effect=Effect("lone_echo", "the time of a lone message"),
    ),
    Cause(
        "slow_handler",
        "Handler that awaits something slow",
        ("slow",),
        (at_most("lone.blocked", 0.25),),
        "The handler awaits something slow: a message takes {lone.echo_s}, while a ping on another connection is "
        "delayed by {lone.blocked} of that time only, so the event loop is free. Nothing is lost by that: TCP holds "
        "the sender back.",
        "Make what is awaited quicker, work on several messages at a time where order does not matter, or accept the "
        "pace.",
        "how long what is awaited takes",
        refuted_by=(at_least("lone.cpu", 0.65),),
        effect=Effect("lone_echo", "the time of a lone message"),
    ),
    Cause(
        "network",
        "Network that loses packets",
        ("slow", "stalls", "closed", "refused_together"),
        (at_least("network.resent", 0.02),),
        "The network loses packets: {network.resent} of our segments had to be sent again. TCP makes up for that, "
        "at the price of time.",
        "Look at the path: loss, a full link, a wrong MTU.",
        "the path's loss",
        # What the path does to messages it does to pings and handshakes too.
        refuted_by=(is_true("server.local"), at_least("lone.slowness", 8), at_most("storm.slowest_s", 0.19)),
    ),
    Cause(
        "keepalive",
        "Keepalive shorter than the handler's work",
        ("closed",),
        (at_least("closes.keepalive", 0.5), at_least("server.pings", 1)),
        "The server's own keepalive closes honest connections: it closed {closes.number} with 1011 "
        "({closes.reason}) while messages were under way. Its ping was answered at once; the pong waits behind "
        "messages that the handler has not read yet.",
        "Make the keepalive longer than the handler may take for all that can wait, or switch it off and take any "
        "received byte as a sign of life.",
        "the keepalive's interval and time-out",
        refuted_by=(at_least("idle.cuts", 1),),
        beside=(at_least("closes.under_way", 1),),
        effect=Effect("keepalive_life", "how long a busy connection lives", low=0.6, high=1.6),
    ),
    Cause(
        "proxy",
        "Proxy that cuts idle connections",
        ("idle_cut",),
        (
            at_least("idle.cuts", 2),
            at_most("idle.age_spread", 0.2),
            at_most("idle.frames", 0),
            is_true("idle.busy_lived"),
        ),
        "Something between client and server cuts idle connections after {idle.age_s}: {idle.cuts:n} ended after that "
        "time, without a close frame, as only somebody does who speaks no WebSocket; connections with a ping now and "
        "then live.",
        "Send pings more often than that, from the server or the client, or raise the proxy's limit "
        "(nginx: proxy_read_timeout).",
        "the proxy's idle time-out",
        effect=Effect("idle_life", "how long an idle connection lives"),
    ),
    Cause(
        "server_timeout",
        "The server's own limit for idle connections",
        ("idle_cut",),
        (at_least("idle.frames", 0.5),),
    ),
    Cause(
        "memory",
        "Memory up to a limit",
        ("died",),
        (at_least("memory.growth", 1.8), at_least("memory.at_peak", 0.9)),
        "The server's memory grew to {memory.last_bytes}, {memory.growth} times what it began with, and never came "
        "back; then the process was gone.",
        "Bound what is kept, in number and in bytes, and find what holds it (tracemalloc); a larger limit only "
        "delays it.",
        "the memory limit",
        beside=(at_least("memory.oom_kills", 1),),
        effect=Effect("bytes_until_death", "how many bytes it takes until it dies", low=0.6, high=1.6),
    ),
    Cause(
        "crash",
        "The program ended by itself",
        ("died",),
        (is_true("server.crashed"),),
        "The program ended by itself, with {server.ended}; its memory was at {memory.last_bytes}.",
        "Read the end of its log.",
        "what makes it end",
    ),
    Cause(
        "descriptors",
        "Too few file descriptors",
        ("refused_in_turn",),
        (is_true("storm.in_turn_failed"), at_most("storm.descriptors_left", 2)),
        "The server has no file descriptor left: {storm.in_turn} opened one after the other, then none, and the "
        "process had {storm.descriptors_left:n} left of what it may have.",
        "Raise the limit (ulimit -n, LimitNOFILE=), or bound the number of connections.",
        "the limit of open files",
        effect=Effect("connections", "how many connections open", low=0.7, high=1.9),
    ),
    Cause(
        "connection_limit",
        "The server's own limit of connections",
        ("refused_in_turn",),
        (at_least("storm.descriptors_left", 3),),
    ),
    Cause(
        "backlog",
        "Accept backlog too short",
        ("refused_together",),
        (at_least("storm.late", 3), at_least("storm.retried", 3), is_no("storm.in_turn_failed")),
        "Connections that come at once do not fit into the accept backlog: of {storm.wanted} {storm.late:n} took 0.9 s "
        "or longer, and TCP had to ask again for {storm.retried:n} of them; one after the other all opened at once.",
        "A longer backlog (uvicorn --backlog; net.core.somaxconn bounds it), and handshakes that take less time.",
        "the length of the backlog",
        beside=(at_least("storm.overflows", 1), at_most("storm.backlog", 64)),
        effect=Effect("storm_in_time", "how many of many open at once", "grows", low=1.2),
    ),
    Cause(
        "slow_handshake",
        "Handshakes that take long",
        ("refused_together",),
        (at_most("storm.retried", 2),),
    ),
    Cause(
        "queue_newest",
        "A full queue drops the newest",
        ("lost",),
        (
            at_least("lost.messages", 1),
            at_least("lost.longest_run", 5),
            at_least("lost.head", 4),
            at_least("lost.head_over_tail", 3),
        ),
        "A full queue in the application drops the newest messages: of each sender the first {lost.head:n} came, and "
        "the lost ones stand behind them, with {lost.tail:n} behind the last lost one. TCP lost nothing, as later "
        "messages came on the same connections.",
        "Wait until there is room (await queue.put), so that TCP holds the sender back, or tell the client what was "
        "dropped.",
        "the length of the queue",
        refuted_by=(at_least("redis.disconnections", 1),),
        effect=Effect("largest_burst", "the largest burst of which nothing is lost"),
    ),
    Cause(
        "queue_oldest",
        "A full queue drops the oldest",
        ("lost",),
        (
            at_least("lost.messages", 1),
            at_least("lost.longest_run", 5),
            at_least("lost.tail", 4),
            at_least("lost.tail_over_head", 3),
        ),
        "A full queue in the application drops the oldest messages: of each sender the last {lost.tail:n} came, and "
        "the lost ones stand before them, with {lost.head:n} before the first lost one. TCP lost nothing, as later "
        "messages came on the same connections.",
        "Wait until there is room, so that TCP holds the sender back, or tell the client what was dropped.",
        "the length of the queue",
        refuted_by=(at_least("redis.disconnections", 1),),
        effect=Effect("largest_burst", "the largest burst of which nothing is lost"),
    ),
    Cause(
        "redis_buffer",
        "Redis' output buffer",
        ("lost", "swallowed"),
        (at_least("redis.disconnections", 1),),
        "Redis closed a subscriber of the server {redis.disconnections:n} times because its output buffer was full; "
        "what was published until it had subscribed again is gone for every client of that process.",
        "Raise client-output-buffer-limit pubsub, send less at once, and catch up from a history after a new "
        "subscription.",
        "client-output-buffer-limit of Redis",
        # Where bursts of different lengths all lose behind, or before, the same number of messages, messages are
        # counted; Redis counts bytes, and when it gives up depends on how quickly it is read.
        refuted_by=(at_most("lost.spread", 0.1),),
        effect=Effect("largest_size", "the largest message that passes", low=0.4, high=2.5),
    ),
    Cause(
        "tcp_buffer",
        "A full TCP receive buffer",
        ("lost",),
        # RFC 9293 §3.8.
        (is_true("lost.with_their_connection"),),
        because="TCP hands on no byte before those in front of it, and later messages came on the same connections; a "
        "full buffer closes the window and holds the sender back",
    ),
    Cause(
        "too_big",
        "Size limit",
        ("too_large",),
        (
            is_true("size.refused"),
            at_least("size.code", 1009),
            at_most("size.code", 1009),
            is_true("size.exact"),
        ),
        "The server refuses messages above {size.good}: it closes with 1009, at that border exactly.",
        "Raise the limit (uvicorn --ws-max-size, max_size of websockets), or send in parts.",
        "the limit of a message's size",
        effect=Effect("largest_size", "the largest message that passes", low=0.98, high=1.02),
    ),
    Cause(
        "reorders",
        "The application changes the order",
        ("reordered",),
        (at_least("reordered.messages", 1),),
        "The application changes the order: {reordered.messages} came after a later one of the same sender, on a "
        "connection that stayed open; TCP keeps the order.",
        "Handle the messages of a connection one after the other, or number them.",
        "by how much handling times differ",
        effect=Effect("reordered_share", "the share of messages out of order", "vanishes"),
    ),
    Cause(
        "duplicates",
        "The application repeats messages",
        ("duplicated",),
        (at_least("duplicate.messages", 1),),
        "The application repeats messages: {duplicate.messages} came twice, on connections that stayed open; TCP "
        "hands on each byte once.",
        "Number the messages and let the receiver drop what it has, or do not repeat on a connection that lives.",
        "when a message is repeated",
        effect=Effect("duplicate_share", "the share of messages that come twice", "vanishes"),
    ),
    Cause(
        "corrupts",
        "The application changes contents",
        ("corrupted",),
        (at_least("corrupted.messages", 1),),
        "The application changes contents: {corrupted.messages} came back with the mark of what was sent and other "
        "content; TCP's checksums and WebSocket's framing held.",
        "Look where contents are cut, encoded again, or kept in a buffer that is used again.",
        "what cuts or changes",
        effect=Effect("corrupted_share", "the share of messages that come back changed", "vanishes"),
    ),
    Cause(
        "wire",
        "The network",
        _WRONG,
        (is_true("wire.damages"),),
        because="TCP keeps the order, hands on each byte once, and has checksums; the "
        "connections stayed open, and no frame was damaged",
    ),
)


def cause_of(id: str) -> Cause:
    """Return the cause with an id."""
    return next(cause for cause in CAUSES if cause.id == id)
