"""Facts: what is read out of a result, and that what is not there is no fact."""

from __future__ import annotations

from typing import Any

import pytest

from roomful.probe.diagnosis.facts import gather


def result(**parts: Any) -> dict[str, Any]:
    """Return a complete result with the parts that a test is about."""
    return {"complete": True, "options": {"sizes": [128, 65536]}} | parts


def trial(**parts: Any) -> dict[str, Any]:
    """Return a trial with the parts that a test is about."""
    return {"number": 3, "began_at_s": 1.5, "spec": {"purpose": "burst", "size": 128}, "counts": {}} | parts


def value(name: str, **parts: Any) -> object:
    """Return the value of one fact, `None` when there is no such fact."""
    fact = gather(result(**parts)).get(name)
    return None if fact is None else fact.value


def test_an_empty_result_has_hardly_a_fact() -> None:
    """What was not looked at is not zero."""
    assert set(gather({})) == {"server.gone", "server.pings"}


def missing(sent: int, lost: int, first: int, last: int) -> dict[str, int]:
    return {
        "receiver": 0,
        "sender": 0,
        "sent": sent,
        "lost": lost,
        "first": first,
        "last": last,
        "longest": lost,
    }


def test_losses_stand_behind_what_a_full_queue_held() -> None:
    """Three bursts that all lose behind the 50th."""
    trials = [
        trial(counts={"lost": n - 50}, missing=[missing(n, n - 50, 50, n - 1)]) for n in (64, 256, 1024)
    ]
    found = gather(result(trials=trials))
    assert (found["lost.head"].value, found["lost.tail"].value, found["lost.spread"].value) == (50, 0, 0)
    assert found["lost.head_over_tail"].value == 51
    assert (found["lost.messages"].value, found["lost.messages"].trial) == (14 + 206 + 974, 3)
    assert found["lost.with_their_connection"].value is False


def test_losses_with_a_close_are_no_evidence() -> None:
    """A close leaves messages unjudged; only whole connections count."""
    close = {"client": 0, "t_s": 1.0, "code": 1011, "reason": "keepalive ping timeout"}
    closed = trial(counts={"lost": 5}, closes=[close], missing=[missing(64, 5, 3, 9)])
    found = gather(result(trials=[closed]))
    assert found["lost.messages"].value == 0
    assert "lost.head" not in found
    assert (found["closes.number"].value, found["closes.keepalive"].value) == (1, 1.0)


@pytest.mark.parametrize(
    ("reason", "share"), [("keepalive ping timeout", 1.0), ("internal error", 0.0), ("stopping", 0.0)]
)
def test_only_a_close_that_says_so_is_a_keepalives(reason: str, share: float) -> None:
    """1011 is also what an exception in a handler leads to."""
    closed = trial(closes=[{"client": 0, "t_s": 1.0, "code": 1011, "reason": reason}])
    assert value("closes.keepalive", trials=[closed]) == share


def test_closes_at_a_size_are_the_sizes() -> None:
    """A search for the largest message provokes them."""
    closed = trial(spec={"purpose": "size", "size": 70000}, closes=[{"client": 0, "t_s": 0.1, "code": 1009}])
    assert value("closes.number", trials=[closed]) == 0


@pytest.mark.parametrize(("good", "bad", "refused"), [(50000, 50001, True), (65536, 65537, False)])
def test_a_size_limit_matters_below_what_was_asked_for(good: int, bad: int, refused: bool) -> None:
    """Above it is a limit and no fault."""
    cliff = {"dimension": "size", "good": good, "bad": bad, "exact": True, "close_code": 1009}
    assert value("size.refused", cliffs=[cliff]) is refused


def test_a_size_that_never_comes_back_is_swallowed() -> None:
    """Nothing is closed, and nothing comes."""
    cliff = {
        "dimension": "size",
        "good": 100,
        "bad": 101,
        "close_code": None,
        "reasons": ["nothing came back"],
    }
    assert value("size.swallowed", cliffs=[cliff]) is True
    assert value("size.swallowed", cliffs=[cliff | {"reasons": ["2 corrupted"]}]) is False


def lone(**parts: Any) -> dict[str, Any]:
    one = {"echo_s": 0.02, "ping_before_s": 0.0002, "ping_during_s": 0.0142, "spent_s": 0.02}
    return {
        "lone": {
            "at_s": 1.0,
            "rounds": [one | {"cpu_s": 0.018, "waited_s": 0.0, "own_waited_s": 0.0} | parts] * 9,
        }
    }


def test_a_lone_message_tells_blocked_from_computing() -> None:
    """Time without a core, its own or the probe's, does not count against the server."""
    found = gather(result(questions=lone()))
    assert (found["lone.blocked"].value, found["lone.cpu"].value) == (0.7, 0.9)
    assert found["lone.slowness"].value == 100
    starved = gather(result(questions=lone(echo_s=0.04, spent_s=0.04, waited_s=0.01, own_waited_s=0.01)))
    assert (starved["lone.echo_s"].value, starved["lone.cpu"].value) == (pytest.approx(0.02), 0.6)
    assert starved["lone.waited"].value == 0.25
    both = gather(result(questions=lone(echo_s=0.04, spent_s=0.04, waited_s=0.02, own_waited_s=0.02)))
    assert both["lone.echo_s"].value == 0.018


def test_without_processes_the_cpu_is_unknown() -> None:
    """Not zero."""
    assert value("lone.cpu", questions=lone(cpu_s=None, waited_s=None)) is None


def test_too_few_rounds_say_nothing() -> None:
    """One message may be slow for any reason."""
    questions = lone()
    del questions["lone"]["rounds"][2:]
    assert value("lone.echo_s", questions=questions) is None


def test_the_quiet_half_of_the_rounds_counts() -> None:
    """While something else ran, pings were slow too, and said nothing about the server."""
    questions = lone()
    noisy = questions["lone"]["rounds"][0] | {"ping_during_s": 0.0001, "own_waited_s": 0.015}
    questions["lone"]["rounds"][1:5] = [noisy] * 4
    assert value("lone.blocked", questions=questions) == 0.7


def test_a_ping_that_was_sent_late_is_measured_against_what_was_left() -> None:
    """The probe may have had no core; one that was sent when the answer was nearly there says nothing."""
    late = lone(ping_after_s=0.013, ping_during_s=0.0072)
    assert value("lone.blocked", questions=late) == 1.0
    assert value("lone.blocked", questions=lone(ping_after_s=0.013, ping_during_s=0.0002)) == 0.0
    assert value("lone.blocked", questions=lone(ping_after_s=0.015)) is None


def test_a_storm_counts_what_was_late_and_asked_for_again() -> None:
    """One that never opened is late too."""
    connections = (
        [{"open_s": 0.01, "retries": 0}] * 5 + [{"open_s": 1.02, "retries": 1}] * 4 + [{"open_s": None}]
    )
    storm = {
        "wanted": 10,
        "in_turn": {
            "opened": 10,
            "error": None,
            "slowest_s": 0.01,
            "descriptors": 62,
            "descriptor_limit": 64,
        },
        "connections": connections,
        "listen_overflows": 6,
    }
    found = gather(result(questions={"storm": storm}))
    assert (found["storm.late"].value, found["storm.retried"].value) == (5, 4)
    assert (found["storm.descriptors_left"].value, found["storm.in_turn_failed"].value) == (2, False)


def idle(*ages: float, frame: bool = False) -> dict[str, Any]:
    return {
        "idle": [
            {"ended_at_s": 2.0 + place, "quiet_s": age, "code": 1006, "close_frame": frame}
            for place, age in enumerate(ages)
        ]
    }


def test_idle_connections_that_all_end_after_the_same_time() -> None:
    """While one that is pinged lives on."""
    pings = {"samples": {"ping": [{"t_s": 0.2, "rtt_s": 0.001}, {"t_s": 9.0, "rtt_s": 0.001}]}}
    found = gather(result(questions=idle(2.0, 2.0, 2.1), evidence=pings))
    assert (found["idle.cuts"].value, found["idle.age_s"].value, found["idle.frames"].value) == (3, 2.0, 0)
    assert found["idle.age_spread"].value == 0.05
    assert found["idle.busy_lived"].value is True
    assert value("idle.age_spread", questions=idle(2.0, 2.0, 2.0, 2.0, 2.0, 2.9)) == 0


def test_idle_connections_that_ended_with_the_server_are_left_out() -> None:
    """It was gone; that is another story."""
    both = [
        {"ended_at_s": 4.0, "quiet_s": 3.9, "code": 1006},
        {"ended_at_s": 4.0, "quiet_s": 3.5, "code": 1006},
    ]
    assert value("idle.cuts", complete=False, stopped_by="connection refused", questions={"idle": both}) == 0


@pytest.mark.parametrize(
    ("code", "by_probe", "gone", "crashed"),
    [
        (-9, False, True, False),
        (137, False, True, False),
        (-11, False, True, True),
        (1, False, True, True),
        (0, True, False, None),
    ],
)
def test_how_a_process_ended(code: int, by_probe: bool, gone: bool, crashed: bool | None) -> None:
    """Killed from outside, by itself, or by the probe when it was done."""
    child = {"exit_code": code, "stopped_by_probe": by_probe}
    assert value("server.gone", evidence={"child": child}) is gone
    assert value("server.crashed", evidence={"child": child}) is crashed


def test_a_server_that_is_slow_to_answer_is_not_gone() -> None:
    """It may be hung; nobody listens where one is gone."""
    after = {"when": "after", "reachable": False, "error": "did not finish the handshake within 5 s"}
    assert value("server.gone", baselines=[after]) is False
    assert value("server.gone", baselines=[after | {"error": "connection refused"}]) is True


def test_memory_counts_all_processes() -> None:
    """From the first sample to the last."""
    samples = [
        {"t_s": t, "processes": [{"rss_bytes": 50 << 20}, {"rss_bytes": size << 20}]}
        for t, size in ((0, 50), (1, 350))
    ]
    found = gather(result(evidence={"samples": {"processes": samples}}))
    assert (found["memory.growth"].value, found["memory.at_peak"].value) == (4.0, 1.0)


def test_memory_that_leaps_between_two_looks_is_seen_by_the_kernel() -> None:
    """What the kernel tells of the end counts where it is above every peak that was seen before."""
    samples = {"memory": [{"t_s": t, "rss_bytes": 50 << 20, "peak_bytes": 70 << 20} for t in (0, 1)]}

    def at_the_end(peak: int) -> tuple[object, object]:
        child = {"exit_code": -9, "stopped_by_probe": False, "peak_rss_bytes": peak << 20}
        found = gather(result(evidence={"samples": samples, "child": child}))
        return found["memory.growth"].value, found["memory.at_peak"].value

    assert at_the_end(200) == (4.0, 1.0)
    # That may be the peak of long ago.
    assert at_the_end(71) == (1.0, 1.0)


def redis(*samples: dict[str, Any], **parts: Any) -> object:
    return value("redis.disconnections", evidence={"samples": {"redis": list(samples)}}, **parts)


def test_redis_counts_its_disconnections() -> None:
    """Where it does."""
    assert redis({"output_buffer_disconnections": 2}, {"output_buffer_disconnections": 5}) == 3


def test_an_older_redis_shows_subscribers_that_vanish() -> None:
    """That counts when so much was under way; otherwise nobody knows why they went."""
    first, later = {"subscriber_ids": [3]}, {"subscriber_ids": [41], "output_limit_bytes": 131072}
    large = [trial(spec={"purpose": "size", "size": 262144}, counts={"lost": 1}, offered=2)]
    assert redis(first, later, trials=large) == 1
    assert redis(first, later) is None
    assert redis(first, first) == 0


def test_a_server_without_any_peer_uses_no_redis() -> None:
    """Which is different from not knowing."""
    source = {"name": "redis", "available": False, "reason": None, "nothing": True}
    assert value("redis.disconnections", evidence={"sources": [source]}) == 0
    assert value("redis.disconnections", evidence={"sources": [source | {"nothing": False}]}) is None
