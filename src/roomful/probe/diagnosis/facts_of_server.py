"""Facts from the machine and from the server's end: processes, memory, network, Redis, and whether it still lives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from roomful.probe.diagnosis.reading import Found, Json, items, number, part
from roomful.probe.target import is_loopback

__all__ = ("read",)

_LEAST_SEGMENTS: Final = 100
_UNSEEN: Final = 1.2
"""So much above every peak that was seen, as samples are kept where a peak rose by a tenth: it came after the last."""
# Signals that a program earns by itself: ILL, TRAP, ABRT, BUS, FPE, SEGV.
_FAULTS: Final = frozenset((4, 5, 6, 7, 8, 11))


def read(result: Json) -> Iterator[Found]:
    """Return the facts of the server and of what lies between."""
    evidence = part(result, "evidence")
    samples = part(evidence, "samples")
    url = part(result, "target").get("url")
    if isinstance(url, str) and (host := urlsplit(url).hostname):
        yield Found("server.local", is_loopback(host))
    child = part(evidence, "child")
    yield from _alive(result, child)
    yield from _memory(samples, child)
    yield from _network(items(samples, "tcp_info"))
    redis = items(samples, "redis")
    if redis:
        yield from _redis(redis, _bytes_under_way(result))
    elif any(
        each.get("name") == "redis" and each.get("nothing") is True for each in items(evidence, "sources")
    ):
        # The server is connected to nobody but its clients.
        yield Found("redis.disconnections", 0)


def _alive(result: Json, child: Json) -> Iterator[Found]:
    code = number(child, "exit_code")
    ended = code is not None and child.get("stopped_by_probe") is False
    # One that no longer answers in time is not gone; nobody listens where one is.
    errors = [str(result.get("stopped_by") or "")]
    errors += [str(each.get("error") or "") for each in items(result, "baselines")]
    yield Found("server.gone", ended or any("refused" in error for error in errors))
    if ended and code is not None:
        # A shell in front of the program says 128 and the signal's number.
        signal = -code if code < 0 else code - 128 if code > 128 else None
        yield Found("server.crashed", signal is None or signal in _FAULTS)
        yield Found("server.ended", f"exit code {code:g}" if signal is None else f"signal {signal:g}")


def _memory(samples: Json, child: Json) -> Iterator[Found]:
    sums: list[tuple[float, float]] = []
    for sample in items(samples, "processes"):
        sizes = [number(each, "rss_bytes") for each in items(sample, "processes")]
        known = [size for size in sizes if size]
        if known:
            sums.append((number(sample, "t_s") or 0.0, sum(known)))
    sums += [
        (number(each, "t_s") or 0.0, number(each, "rss_bytes") or 0.0) for each in items(samples, "memory")
    ]
    sums.sort()
    end = number(child, "peak_rss_bytes")
    peaks = [number(each, "peak_bytes") for each in items(samples, "memory")]
    seen = max((peak for peak in peaks if peak), default=None)
    if sums and end is not None and seen is not None and end > _UNSEEN * seen:
        # It grew faster than it could be looked at, and ended there.
        sums.append((sums[-1][0], end))
    if len(sums) > 1:
        t_s, last = sums[-1]
        yield Found("memory.growth", round(last / sums[0][1], 3), t_s)
        yield Found("memory.last_bytes", int(last), t_s)
        yield Found("memory.at_peak", round(last / max(size for _, size in sums), 3), t_s)
    kills = [
        number(part(sample, name), "oom_kill")
        for sample in items(samples, "cgroup")
        for name in ("memory.events", "memory.oom_control")
    ]
    known_kills = [kill for kill in kills if kill is not None]
    if known_kills:
        yield Found("memory.oom_kills", int(known_kills[-1] - known_kills[0]))


def _network(sockets: list[Json]) -> Iterator[Found]:
    shares = [
        (number(each, "total_retrans") or 0.0) / sent
        for each in sockets
        if (sent := number(each, "data_segs_out") or 0.0) >= _LEAST_SEGMENTS
    ]
    if shares:
        yield Found("network.resent", round(max(shares), 5))


def _redis(samples: list[Json], under_way: float) -> Iterator[Found]:
    counts = [number(each, "output_buffer_disconnections") for each in samples]
    first, last = counts[0], counts[-1]
    if first is not None and last is not None:
        at_s = next(
            (number(each, "t_s") for each, count in zip(samples, counts, strict=True) if count != first), None
        )
        yield Found("redis.disconnections", int(last - first), at_s)
        return
    # Older ones do not count them: a subscriber that vanished while more was under way than the limit was closed.
    gone = 0
    known: set[object] = set()
    at_s = None
    for sample in samples:
        ids = sample.get("subscriber_ids")
        now = set(ids) if isinstance(ids, list) else set()
        if known - now:
            gone += len(known - now)
            at_s = at_s or number(sample, "t_s")
        known = now
    limit = number(samples[-1], "output_limit_bytes")
    most = max(under_way, *(number(each, "max_output_bytes") or 0.0 for each in samples))
    if not gone:
        yield Found("redis.disconnections", 0)
    elif limit and most >= limit:
        yield Found("redis.disconnections", gone, at_s)


def _bytes_under_way(result: Json) -> float:
    """Return the most bytes that were sent in a trial of which something is missing."""
    return max(
        (
            (number(part(trial, "spec"), "size") or 0.0) * (number(trial, "offered") or 0.0)
            for trial in items(result, "trials")
            if number(part(trial, "counts"), "lost") or number(part(trial, "counts"), "in doubt")
        ),
        default=0.0,
    )
