"""Facts from the questions: one message alone, many connections, connections that say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from roomful.probe.diagnosis.reading import Found, Json, items, middle, number, part, quarter, spread
from roomful.probe.questions.storm import LATE_S

__all__ = ("read",)

_LEAST_ROUNDS: Final = 3
_LEAST_LEFT: Final = 0.3
_NEVER_S: Final = 10.0
_WITH_THE_SERVER_S: Final = 0.5


def read(result: Json) -> Iterator[Found]:
    """Return the facts of all questions."""
    questions = part(result, "questions")
    yield from _lone(part(questions, "lone"))
    yield from _storm(part(questions, "storm"))
    yield from _idle(result, items(questions, "idle"))


def _lone(lone: Json) -> Iterator[Found]:
    rounds = _quiet([each for each in items(lone, "rounds") if number(each, "echo_s") is not None])
    if len(rounds) < _LEAST_ROUNDS:
        return
    at_s = number(lone, "at_s")
    # A busy machine only adds to a time: what was waited for a core is taken off, and of the rest the lower quartile
    # is nearer to the truth than the median. Server and probe may have waited at one time, but what the server
    # computed it did compute.
    echo_s = quarter(
        max((number(each, "echo_s") or 0.0) - _waited(each), number(each, "cpu_s") or 0.0) for each in rounds
    )
    ping_s = min((number(each, "ping_before_s") or _NEVER_S for each in rounds), default=None)
    yield Found("lone.echo_s", echo_s, at_s)
    yield Found("lone.ping_s", ping_s, at_s)
    if not echo_s or ping_s is None:
        return
    yield Found("lone.slowness", round(echo_s / max(ping_s, 1e-6), 2), at_s)
    blocked = middle(_blocked(each, ping_s) for each in rounds)
    yield Found("lone.blocked", None if blocked is None else round(blocked, 3), at_s)
    spent_s = sum(number(each, "spent_s") or 0.0 for each in rounds)
    costs = [number(each, "cpu_s") for each in rounds]
    known = [cost for cost in costs if cost is not None]
    if len(known) == len(rounds) and spent_s:
        free_s = spent_s - sum(number(each, "waited_s") or 0.0 for each in rounds)
        yield Found("lone.cpu", round(min(sum(known) / max(free_s, *known, 1e-6), 1.0), 3), at_s)
        yield Found("lone.waited", round(min(1 - free_s / spent_s, 1.0), 3), at_s)


def _blocked(one: Json, ping_s: float) -> float | None:
    """Return how much of the time that was left for the message, once a ping was sent, the ping waited too."""
    echo_s, during_s = number(one, "echo_s") or 0.0, number(one, "ping_during_s")
    left_s = echo_s - (number(one, "ping_after_s") or 0.0)
    if during_s is None or left_s < _LEAST_LEFT * echo_s:
        # It was sent too late to say anything.
        return None
    return min(max(during_s - ping_s, 0.0) / left_s, 1.0)


def _quiet(rounds: list[Json]) -> list[Json]:
    """Return the half in which server and probe waited least for a core; the first finds cold caches."""
    rounds = rounds[1:] if len(rounds) > _LEAST_ROUNDS else rounds
    return sorted(rounds, key=_waited)[: max(len(rounds) // 2, _LEAST_ROUNDS)]


def _waited(one: Json) -> float:
    return (number(one, "waited_s") or 0.0) + (number(one, "own_waited_s") or 0.0)


def _storm(storm: Json) -> Iterator[Found]:
    wanted, in_turn = number(storm, "wanted"), part(storm, "in_turn")
    opened = number(in_turn, "opened")
    if wanted is None or opened is None:
        return
    at_s = number(storm, "at_s")
    yield Found("storm.wanted", int(wanted), at_s)
    yield Found("storm.in_turn", int(opened), at_s)
    yield Found("storm.in_turn_failed", in_turn.get("error") is not None, at_s)
    yield Found("storm.slowest_s", number(in_turn, "slowest_s"), at_s)
    used, limit = number(in_turn, "descriptors"), number(in_turn, "descriptor_limit")
    if used is not None and limit is not None:
        yield Found("storm.descriptors_left", int(limit - used), at_s)
    connections = items(storm, "connections")
    if not connections:
        return
    late = [each for each in connections if (number(each, "open_s") or LATE_S) >= LATE_S]
    yield Found("storm.late", len(late), at_s)
    yield Found("storm.retried", sum((number(each, "retries") or 0) > 0 for each in late), at_s)
    for name, value in (("overflows", "listen_overflows"), ("backlog", "backlog")):
        seen = number(storm, value)
        yield Found(f"storm.{name}", None if seen is None else int(seen), at_s)


def _idle(result: Json, idle: list[Json]) -> Iterator[Found]:
    if not idle:
        return
    ended = [each for each in idle if number(each, "ended_at_s") is not None]
    last = max((number(each, "ended_at_s") or 0.0 for each in ended), default=0.0)
    if any(each.get("reachable") is False for each in items(result, "baselines")) or not result.get(
        "complete"
    ):
        # What ended together with the server ended because of it.
        ended = [each for each in ended if (number(each, "ended_at_s") or 0.0) < last - _WITH_THE_SERVER_S]
    yield Found("idle.cuts", len(ended))
    if not ended:
        return
    ages = [number(each, "quiet_s") or 0.0 for each in ended]
    age_s = middle(ages)
    assert age_s is not None, "there are some"
    at_s = number(ended[0], "ended_at_s")
    yield Found("idle.age_s", age_s, at_s)
    if len(ages) > 1:
        yield Found("idle.age_spread", round(spread(ages) / max(age_s, 1e-6), 3))
    yield Found(
        "idle.frames", round(sum(each.get("close_frame") is True for each in ended) / len(ended), 3), at_s
    )
    yield from _busy_lived(result, age_s)


def _busy_lived(result: Json, age_s: float) -> Iterator[Found]:
    """Say whether the connections that are pinged lived longer than the idle ones."""
    pings = items(part(result, "evidence", "samples"), "ping")
    answered = [number(each, "t_s") or 0.0 for each in pings if number(each, "rtt_s") is not None]
    if len(answered) > 1:
        yield Found("idle.busy_lived", answered[-1] - answered[0] > 1.5 * age_s)
