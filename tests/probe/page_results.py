"""Results for the tests of pages: small, whole, and of every kind that a run can leave."""

from __future__ import annotations

from typing import Any, Final

__all__ = ("CLOCK_S", "diagnosed", "loaded", "searched")

CLOCK_S: Final = 12.0
_VERDICTS: Final = (
    "delivered",
    "late",
    "lost",
    "told",
    "in doubt",
    "not offered",
    "reordered",
    "duplicate",
    "corrupted",
    "phantom",
    "mistold",
)


def trial(
    number: int,
    *,
    purpose: str = "rate",
    size: int = 1024,
    rate: float = 100.0,
    clients: int = 10,
    outcome: str = "good",
    lost: int = 0,
    reasons: tuple[str, ...] = (),
    closes: int = 0,
    p99_s: float = 0.004,
) -> dict[str, Any]:
    counts = dict.fromkeys(_VERDICTS, 0) | {"delivered": 100 - lost, "lost": lost}
    return {
        "number": number,
        "spec": {
            "purpose": purpose,
            "payload": "text",
            "size": size,
            "rate": rate,
            "clients": clients,
            "count": 100,
            "shape": "constant",
            "burst": 1,
            "stop_early": True,
        },
        "began_at_s": float(number),
        "ended_at_s": number + 0.9,
        "intended": 100,
        "offered": 100,
        "arrived": 100 - lost,
        "owed": 100,
        "counts": counts,
        "latency": {"count": 100 - lost, "p50_s": p99_s / 2, "p99_s": p99_s, "max_s": p99_s},
        "growth": 0.0,
        "closes": [
            {"client": 0, "t_s": 0.5, "code": 1011, "reason": "keepalive", "error": ""} for _ in range(closes)
        ],
        "generator": {
            "late_p50_s": 0.0001,
            "late_p99_s": 0.0009,
            "late_max_s": 0.002,
            "cpu": 0.4,
            "waiting": 0.01,
        },
        "outcome": outcome,
        "reasons": list(reasons),
        "examples": {"lost": ["0 in 0: 14-17"]} if lost else {},
        "rows": [
            [round(0.05 * row, 3), 10 * row, 10 * row, 10 * row, 10, 2000, 4000, 0, 0] for row in range(1, 11)
        ],
    }


def _result(**fields: Any) -> dict[str, Any]:
    return {
        "schema": "roomful.probe/1",
        "command": "run",
        "complete": True,
        "stopped_by": None,
        "started": "2026-01-02T03:04:05.678+00:00",
        "duration_s": CLOCK_S,
        "target": {"url": "ws://127.0.0.1:8000/ws", "mode": "echo", "headers": ["X-Key"]},
        "machine": {
            "system": "Linux",
            "release": "6.1",
            "architecture": "x86_64",
            "cpu": "A CPU",
            "cores": 2,
            "memory_bytes": 8 << 30,
            "python": "3.12.1",
        },
        "options": {
            "payload": "text",
            "sizes": [1024],
            "clients": [10],
            "deadline_s": 1.0,
            "max_p99_s": None,
        },
        "baselines": [
            {"when": "before", "reachable": True, "p50_s": 0.001, "p99_s": 0.002, "ping_s": 0.0003},
            {"when": "after", "reachable": False, "error": "refused"},
        ],
        "trials": [],
        "cells": [],
        "cliffs": [],
        "evidence": _evidence(),
        "thresholds": [{"text": "loss>0", "value": 4.0, "limit": 0.0, "breached": True}],
        "notes": ["a note"],
        "verdict": {"outcome": "pass", "exit_code": 0, "sentences": ["A sentence."], "inconclusive": []},
        **fields,
    }


def _evidence() -> dict[str, Any]:
    times = [0.2 * step for step in range(int(CLOCK_S / 0.2))]
    return {
        "interval_s": 0.2,
        "sources": [
            {"name": "ping", "available": True, "reason": None, "samples": len(times)},
            {"name": "stacks", "available": False, "reason": "not asked for", "samples": 0},
        ],
        "processes": {"7": {"command": "python -m uvicorn app:app", "limits": {}}},
        "child": {
            "command": ["python", "-m", "uvicorn"],
            "exit_code": None,
            "stopped_by_probe": True,
            "log_tail": "one\ntwo",
        },
        "samples": {
            "ping": [{"t_s": t, "client": 0, "rtt_s": 0.0003} for t in times],
            "tcp_info": [{"t_s": t, "snd_wnd": 65536, "notsent_bytes": 0} for t in times],
            "sockets": [{"t_s": t, "totals": {"recv_queue": 100, "send_queue": 5}} for t in times],
            "accept_queue": [{"t_s": t, "waiting": 0} for t in times],
            "processes": [
                {
                    "t_s": t,
                    "processes": [
                        {"pid": 7, "cpu_s": 0.5 * t, "run_delay_s": 0.1 * t, "rss_bytes": 50 << 20}
                    ],
                }
                for t in times
            ],
        },
    }


def searched(
    *, good: float = 120.0, bad: float | None = 140.0, reasons: tuple[str, ...] = ("4 lost",)
) -> dict[str, Any]:
    """A search that found a rate at which messages are lost, and a limit of size."""
    trials = [trial(0, purpose="baseline"), trial(1, rate=good * 0.8), trial(2, rate=good)]
    if bad is not None:
        trials.append(trial(3, rate=bad, outcome="bad", lost=4, reasons=reasons))
    trials += [
        trial(4, rate=200.0, outcome="invalid", reasons=("generator late",)),
        trial(5, purpose="baseline"),
    ]
    cell = {
        "payload": "text",
        "size": 1024,
        "clients": 10,
        "good_rate": good,
        "bad_rate": bad,
        "kind": "found" if bad is not None else "at_least",
        "limited_by": None if bad is not None else "generator",
        "reasons": list(reasons) if bad is not None else [],
        "trials": [1, 2, 3, 4],
    }
    other = {**cell, "clients": 1, "good_rate": None, "bad_rate": None, "kind": "invalid", "trials": []}
    cliff = {
        "dimension": "size",
        "unit": "bytes",
        "good": 65536,
        "bad": 65537,
        "exact": True,
        "ceiling": 1 << 25,
        "close_code": 1009,
        "close_reason": "too big",
        "reasons": ["1 connection closed by the server"],
        "trials": [0],
    }
    burst = {
        **cliff,
        "dimension": "burst",
        "unit": "messages",
        "good": 4096,
        "bad": None,
        "close_code": None,
        "exact": False,
    }
    return _result(trials=trials, cells=[cell, other], cliffs=[cliff, burst])


def loaded(*, lost: int = 0, p99_s: float = 0.004) -> dict[str, Any]:
    """Two loads, the second of which may have lost messages."""
    return _result(
        trials=[
            trial(0, purpose="load", rate=50.0),
            trial(
                1,
                purpose="load",
                rate=100.0,
                lost=lost,
                outcome="bad" if lost else "good",
                reasons=(f"{lost} lost",) if lost else (),
                closes=int(lost > 0),
                p99_s=p99_s,
            ),
        ]
    )


def _seen(what: str, value: Any, unit: str, *, holds: bool | None = True) -> dict[str, Any]:
    return {
        "what": what,
        "value": value,
        "unit": unit,
        "expected": "at least 1",
        "holds": holds,
        "source": "ledger",
        "at_s": 3.2,
        "trial": 3,
    }


def diagnosed(*, findings: int = 1) -> dict[str, Any]:
    """A search with a proven cause, its rivals and its intervention; and as many findings as are asked for."""
    finding = {
        "symptom": {"id": "lost", "sentence": "4 messages are lost."},
        "status": "proven",
        "cause": "queue_newest",
        "title": "A full queue drops the newest",
        "sentence": "A queue of 64 messages drops what comes on top.",
        "cure": "Wait for room with `await queue.put()`.",
        "knob": "the queue's size",
        "evidence": [
            _seen("messages lost on connections that stayed open", 4, "messages"),
            _seen("ping meanwhile", 0.0004, "s", holds=None),
            _seen("share of time", 0.5, "share", holds=False),
            _seen("whether it lives", True, ""),
        ],
        "rivals": [
            {
                "cause": "tcp_buffer",
                "title": "A full TCP receive buffer",
                "state": "refuted",
                "because": "later messages came on the same connections",
                "evidence": [_seen("smallest window", 0, "bytes", holds=False)],
            },
            {"cause": "network", "title": "Network", "state": "open", "because": "not seen", "evidence": []},
        ],
        "intervention": {
            "knob": {"kind": "env", "name": "QUEUE", "a": "64", "b": "128"},
            "prediction": {
                "sentence": "With QUEUE=128 it takes twice as many.",
                "measure": "burst",
                "unit": "messages",
                "low": 1.8,
                "high": 2.2,
            },
            "rounds": [
                {"arm": arm, "setting": f"QUEUE={value}", "value": value, "at_s": 20.0 + place, "error": None}
                for place, (arm, value) in enumerate([("A", 64), ("B", 128), ("placebo", 64)] * 3)
            ],
            "ratio": 2.0,
            "placebo": {"kind": "env", "name": "NOTHING", "a": "", "b": "1"},
            "placebo_ratio": 1.0,
            "outcome": "proven",
            "because": "B was 2.00 times A in all rounds",
        },
    }
    return searched() | {
        "diagnosis": {
            "schema": "roomful.probe.diagnosis/1",
            "status": "proven",
            "sentence": "A queue of 64 messages drops what comes on top.",
            "notes": ["what could not be seen"],
            "findings": [finding] * findings,
        }
    }
