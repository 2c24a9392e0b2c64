"""Arrivals that are recorded before their push wait for it, and are then judged in the order in which they came."""

from roomful.core.ledger import Ledger, Verdict


def counts(ledger: Ledger) -> dict[Verdict, int]:
    return {verdict: count for verdict, count in ledger.judge().counts.items() if count}


def test_arrival_before_its_push_is_delivered() -> None:
    """A push's receipt may be awaited after the delivery; meanwhile the verdict is open."""
    ledger = Ledger(deadline_s=1)
    for receiver in range(3):
        ledger.expect(receiver, "room")
        assert ledger.arrived(receiver, "room", 0, 7, 1.5 + receiver) is None
    assert counts(ledger) == {Verdict.PHANTOM: 3}
    ledger.pushed("room", 0, 7, 1.0)
    assert counts(ledger) == {Verdict.DELIVERED: 1, Verdict.LATE: 2}
    assert ledger.arrived(0, "room", 0, 7) is Verdict.DUPLICATE


def test_order_is_that_of_arrival_and_not_of_the_pushes_record() -> None:
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in (0, 2, 1, 3):
        assert ledger.arrived("alice", "room", seq, seq) is None
    for seq in (3, 1, 0, 2):
        ledger.pushed("room", seq, seq)
    assert counts(ledger) == {Verdict.DELIVERED: 3, Verdict.REORDERED: 1}


def test_arrival_that_waits_without_a_time_is_not_late() -> None:
    ledger = Ledger(deadline_s=1)
    ledger.expect("alice", "room")
    ledger.arrived("alice", "room", 0, 0)
    ledger.pushed("room", 0, 0, 1.0)
    assert counts(ledger) == {Verdict.DELIVERED: 1}


def test_judging_meanwhile_changes_nothing() -> None:
    """A judgement takes what waits for phantoms; the next one may know better."""
    ledger = Ledger()
    ledger.expect("alice", "room")
    ledger.pushed("room", 0, 0)
    for seq in (0, 1, 2, 1):
        ledger.arrived("alice", "room", seq, seq)
    assert counts(ledger) == {Verdict.DELIVERED: 1, Verdict.PHANTOM: 3}
    ledger.pushed("room", 2, 2)
    assert counts(ledger) == {Verdict.DELIVERED: 2, Verdict.PHANTOM: 2}
    ledger.pushed("room", 1, 1)
    assert counts(ledger) == {Verdict.DELIVERED: 3, Verdict.DUPLICATE: 1}


def test_judging_leaves_no_trace_of_what_it_assumed() -> None:
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in (0, 2, 3):
        ledger.pushed("room", seq, seq)
    for seq in (0, 1, 3, 2):
        ledger.arrived("alice", "room", seq, seq)
    assert counts(ledger) == {Verdict.DELIVERED: 2, Verdict.REORDERED: 1, Verdict.PHANTOM: 1}
    ledger.pushed("room", 1, 1)
    assert counts(ledger) == {Verdict.DELIVERED: 3, Verdict.REORDERED: 1}


def test_long_backlog_is_worked_off_and_freed() -> None:
    """Pushes may all be recorded after the run, and what waited leaves no trace."""
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in range(20_000):
        ledger.arrived("alice", "room", seq, seq)
    for seq in range(19_999):
        ledger.pushed("room", seq, seq)
    assert counts(ledger) == {Verdict.DELIVERED: 19_999, Verdict.PHANTOM: 1}
    ledger.pushed("room", 19_999, 19_999)
    assert counts(ledger) == {Verdict.DELIVERED: 20_000}
    assert ledger.arrived("alice", "room", 5, 5) is Verdict.DUPLICATE
