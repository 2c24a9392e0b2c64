"""Facts from trials and searches: what was lost and where it stood, what was closed and how, where sizes end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from roomful.probe.diagnosis.reading import Found, Json, flag, items, middle, number, part

__all__ = ("read",)

_KEEPALIVE: Final = re.compile(r"keep.?alive|\bping\b|\bpong\b|heartbeat", re.IGNORECASE)
_KEEPALIVE_CODE: Final = 1011
_LEAST_SENT: Final = 16
_FEW: Final = 4
_SAME: Final = 3
"""From so many bursts on it is said whether they agree."""


def read(result: Json) -> Iterator[Found]:
    """Return the facts of all loads."""
    trials = items(result, "trials")
    yield from _ledger(trials)
    yield from _closes(result, trials)
    yield from _size(result)
    searched = [
        trial for trial in trials if part(trial, "spec").get("purpose") in ("size", "burst", "rate", "load")
    ]
    if searched:
        invalid = sum(trial.get("outcome") == "invalid" for trial in searched)
        yield Found("generator.invalid", round(invalid / len(searched), 4))


def _ledger(trials: list[Json]) -> Iterator[Found]:
    # A close leaves messages unjudged and makes clients resend: only what happened on whole connections counts.
    whole = [trial for trial in trials if not items(trial, "closes")]
    for name, count in (
        ("lost", "lost"),
        ("duplicate", "duplicate"),
        ("reordered", "reordered"),
        ("corrupted", "corrupted"),
    ):
        counts = [(int(number(part(trial, "counts"), count) or 0), trial) for trial in whole]
        total = sum(each for each, _ in counts)
        worst = max(counts, key=lambda each: each[0], default=(0, {}))[1]
        if trials:
            yield Found(f"{name}.messages", total, *(_place(worst) if total else ()))
    if any(items(trial, "missing") for trial in whole):
        yield Found("lost.with_their_connection", False)
    if any(
        number(part(trial, "counts"), name)
        for trial in whole
        for name in ("corrupted", "duplicate", "reordered")
    ):
        # What was read was framed, and TCP's checksums held: a message's mark and length came through.
        yield Found("wire.damages", False)
    yield from _where(whole)


def _where(trials: list[Json]) -> Iterator[Found]:
    """Say where in a sender's messages the lost ones stand."""
    bursts = [trial for trial in trials if part(trial, "spec").get("purpose") == "burst"]
    pairs = _pairs(bursts) or _pairs(trials)
    if not pairs:
        return
    heads = [number(each, "first") or 0.0 for each in pairs]
    tails = [(number(each, "sent") or 0.0) - 1 - (number(each, "last") or 0.0) for each in pairs]
    head, tail = middle(heads), middle(tails)
    assert head is not None, "there are pairs"
    assert tail is not None, "there are pairs"
    yield Found("lost.longest_run", max(int(number(each, "longest") or 0) for each in pairs))
    yield Found("lost.head", head)
    yield Found("lost.tail", tail)
    yield Found("lost.head_over_tail", round((head + 1) / (tail + 1), 3))
    yield Found("lost.tail_over_head", round((tail + 1) / (head + 1), 3))
    if len({number(each, "sent") for each in pairs}) >= _SAME:
        kept = heads if head >= tail else tails
        if min(kept) >= _FEW:
            yield Found("lost.spread", round((max(kept) - min(kept)) / max(kept), 3))


def _pairs(trials: list[Json]) -> list[Json]:
    return [
        each
        for trial in trials
        for each in items(trial, "missing")
        if (number(each, "sent") or 0) >= _LEAST_SENT
    ]


def _closes(result: Json, trials: list[Json]) -> Iterator[Found]:
    closes = [
        (close, trial)
        for trial in trials
        if part(trial, "spec").get("purpose") != "size"
        for close in items(trial, "closes")
    ]
    if trials:
        place = _place(closes[0][1]) if closes else ()
        yield Found("closes.number", len(closes), *place)
    idle = items(part(result, "questions"), "idle")
    pings = sum(int(number(each, "server_pings") or 0) for each in (*trials, *idle))
    yield Found("server.pings", pings)
    if not closes:
        return
    codes = Counter(int(number(close, "code") or 0) for close, _ in closes)
    code = codes.most_common(1)[0][0]
    reasons = Counter(str(close.get("reason") or "") for close, _ in closes if number(close, "code") == code)
    said = [
        number(close, "code") == _KEEPALIVE_CODE and bool(_KEEPALIVE.search(str(close.get("reason") or "")))
        for close, _ in closes
    ]
    yield Found("closes.code", code)
    yield Found("closes.reason", reasons.most_common(1)[0][0])
    yield Found("closes.keepalive", round(sum(said) / len(said), 3))
    yield Found("closes.under_way", middle(number(close, "under_way") for close, _ in closes))


def _size(result: Json) -> Iterator[Found]:
    asked = part(result, "options").get("sizes")
    cliff = next((each for each in items(result, "cliffs") if each.get("dimension") == "size"), None)
    if cliff is None:
        return
    good, bad, code = number(cliff, "good"), number(cliff, "bad"), number(cliff, "close_code")
    largest = (
        max((float(size) for size in asked if isinstance(size, (int, float))), default=0.0)
        if isinstance(asked, list)
        else 0.0
    )
    # A border above everything that was asked for is a limit, and no fault.
    reached = bad is not None and bad <= largest
    reasons = " ".join(str(each) for each in _texts(cliff))
    silent = "nothing came back" in reasons or "in doubt" in reasons
    yield Found("size.refused", reached and code is not None)
    yield Found("size.swallowed", reached and code is None and silent)
    yield Found("size.good", None if good is None else int(good))
    yield Found("size.bad", None if bad is None else int(bad))
    yield Found("size.exact", flag(cliff, "exact"))
    yield Found("size.code", None if code is None else int(code))


def _texts(cliff: Json) -> list[object]:
    reasons = cliff.get("reasons")
    return list(reasons) if isinstance(reasons, (list, tuple)) else []


def _place(trial: Json) -> tuple[float | None, int | None]:
    place = number(trial, "number")
    return number(trial, "began_at_s"), None if place is None else int(place)
