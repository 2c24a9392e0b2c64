"""Each kind of fault alone: what the ledger says to one that was planted by hand."""

import pytest

from roomful.core.ledger import Example, Ledger, Verdict


def healthy(ledger: Ledger, *receivers: str, stream: str = "room", first: int = 0, last: int = 9) -> None:
    """Push a range and deliver it to all."""
    for receiver in receivers:
        ledger.expect(receiver, stream)
    for seq in range(first, last + 1):
        ledger.pushed(stream, seq, seq)
        for receiver in receivers:
            assert ledger.arrived(receiver, stream, seq, seq) is Verdict.DELIVERED


def counts(ledger: Ledger) -> dict[Verdict, int]:
    """Return the verdicts that were reached."""
    return {verdict: count for verdict, count in ledger.judge().counts.items() if count}


def test_healthy_history_has_no_fault() -> None:
    """A history without a fault is clean, and every message is counted for every receiver."""
    ledger = Ledger()
    healthy(ledger, "alice", "bob")
    judgement = ledger.judge()
    judgement.assert_clean(allow=(), at_least=20)
    assert (judgement.pushed, judgement.owed) == (10, 20)
    assert counts(ledger) == {Verdict.DELIVERED: 20}


def test_lost_message_is_named() -> None:
    """What was expected, pushed, not received and not told is lost, also at the very end."""
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in range(10):
        ledger.pushed("room", seq, seq)
        if seq not in {3, 4, 9}:
            ledger.arrived("alice", "room", seq, seq)
    judgement = ledger.judge()
    assert counts(ledger) == {Verdict.DELIVERED: 7, Verdict.LOST: 3}
    assert (Example("alice", "room", 3, 4), Example("alice", "room", 9, 9)) == judgement.examples[
        Verdict.LOST
    ]
    assert judgement.faults == {Verdict.LOST: 3}
    assert not judgement.ok


def test_lost_is_everything_when_nothing_came() -> None:
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in range(1_000):
        ledger.pushed("room", seq, seq)
    assert counts(ledger) == {Verdict.LOST: 1_000}
    assert (Example("alice", "room", 0, 999),) == ledger.judge().examples[Verdict.LOST]


def test_duplicate_is_counted_for_each_further_copy() -> None:
    ledger = Ledger()
    healthy(ledger, "alice")
    assert [ledger.arrived("alice", "room", 4, 4) for _ in range(2)] == [Verdict.DUPLICATE] * 2
    assert ledger.arrived("alice", "room", 9, 9) is Verdict.DUPLICATE
    assert counts(ledger) == {Verdict.DELIVERED: 10, Verdict.DUPLICATE: 3}
    assert [(e.first, e.last) for e in ledger.judge().examples[Verdict.DUPLICATE]] == [(4, 4), (9, 9)]


def test_reordered_is_the_message_that_was_overtaken() -> None:
    """One message that comes too late is one fault, however many overtook it."""
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in range(5):
        ledger.pushed("room", seq, seq)
    verdicts = [ledger.arrived("alice", "room", seq, seq) for seq in (0, 2, 3, 4, 1)]
    assert verdicts == [Verdict.DELIVERED] * 4 + [Verdict.REORDERED]
    assert counts(ledger) == {Verdict.DELIVERED: 4, Verdict.REORDERED: 1}


def test_order_is_not_judged_between_streams() -> None:
    ledger = Ledger()
    healthy(ledger, "alice", stream="one")
    healthy(ledger, "alice", stream="two")
    ledger.judge().assert_clean(allow=())


def test_corrupted_message_is_not_lost_as_well() -> None:
    """It has one fate; that of its sequence, which its frame still names."""
    ledger = Ledger()
    ledger.expect("alice", "room")
    ledger.pushed("room", 0, 5)
    ledger.pushed("room", 1, 6)
    assert ledger.arrived("alice", "room", 1, 7) is Verdict.CORRUPTED
    assert ledger.arrived("alice", "room", 0, 7) is Verdict.CORRUPTED
    assert ledger.arrived("alice", "room", 0, 5) is Verdict.DUPLICATE
    assert counts(ledger) == {Verdict.CORRUPTED: 2, Verdict.DUPLICATE: 1}


def test_digest_zero_is_a_digest() -> None:
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in range(3):
        ledger.pushed("room", seq, 0)
    assert ledger.arrived("alice", "room", 0, 0) is Verdict.DELIVERED
    assert ledger.arrived("alice", "room", 2, 1) is Verdict.CORRUPTED
    assert ledger.arrived("alice", "room", 1, 0) is Verdict.REORDERED


def test_phantom_was_never_pushed() -> None:
    """An unknown sequence, however large, is one phantom and disturbs the order of nothing."""
    ledger = Ledger()
    ledger.expect("alice", "room")
    ledger.pushed("room", 0, 0)
    assert ledger.arrived("alice", "room", 2**62, 1) is None
    assert ledger.arrived("alice", "room", 0, 0) is None
    for seq in range(1, 5):
        ledger.pushed("room", seq, seq)
        ledger.arrived("alice", "room", seq, seq)
    assert counts(ledger) == {Verdict.DELIVERED: 5, Verdict.PHANTOM: 1}
    assert (Example("alice", "room", 2**62, 2**62),) == ledger.judge().examples[Verdict.PHANTOM]


def test_phantom_was_never_expected_by_that_receiver() -> None:
    """A message for alice that comes to bob is a phantom, as is one of an unknown stream."""
    ledger = Ledger()
    healthy(ledger, "alice")
    ledger.arrived("bob", "room", 4, 4)
    ledger.arrived("bob", "other", 4, 4)
    assert counts(ledger) == {Verdict.DELIVERED: 10, Verdict.PHANTOM: 2}
    assert ledger.judge().receivers["bob"][Verdict.PHANTOM] == 2
    assert ledger.judge().receivers["alice"][Verdict.PHANTOM] == 0


def test_late_is_after_the_deadline_from_the_intended_time() -> None:
    ledger = Ledger(deadline_s=1.0)
    ledger.expect("alice", "room")
    for seq in range(5):
        ledger.pushed("room", seq, seq, 10.0 if seq else None)
    verdicts = [
        ledger.arrived("alice", "room", seq, seq, at)
        for seq, at in ((0, 99.0), (1, 10.5), (2, 11.0), (3, 11.1), (4, None))
    ]
    assert [seq == 3 for seq in range(5)] == [verdict is Verdict.LATE for verdict in verdicts]
    assert counts(ledger) == {Verdict.DELIVERED: 4, Verdict.LATE: 1}


def test_late_knows_deadlines_of_single_messages() -> None:
    """A deadline of a message replaces the ledger's; without any nothing is late."""
    ledger = Ledger()
    ledger.pushed("room", 0, 0, 10.0)
    ledger.pushed("room", 300, 0, 10.0, deadline_s=2.0)
    ledger.pushed("room", 301, 0, 10.0, deadline_s=4.0)
    assert ledger.arrived("alice", "room", 0, 0, 99.0) is Verdict.DELIVERED
    assert ledger.arrived("alice", "room", 300, 0, 13.0) is Verdict.LATE
    assert ledger.arrived("alice", "room", 301, 0, 13.0) is Verdict.DELIVERED


def test_late_and_reordered_is_reordered() -> None:
    """Each message has one fate; order weighs more than time."""
    ledger = Ledger(deadline_s=1.0)
    ledger.expect("alice", "room")
    ledger.pushed("room", 0, 0, 1.0)
    ledger.pushed("room", 1, 0, 1.0)
    ledger.arrived("alice", "room", 1, 0, 1.0)
    assert ledger.arrived("alice", "room", 0, 0, 9.0) is Verdict.REORDERED


def test_not_offered_counts_for_each_receiver_unless_pushed_later() -> None:
    ledger = Ledger()
    for receiver in ("alice", "bob"):
        ledger.expect(receiver, "load")
    for seq in range(8):
        if seq in {2, 3, 300}:
            continue
        ledger.pushed("load", seq, seq)
        for receiver in ("alice", "bob"):
            ledger.arrived(receiver, "load", seq, seq)
    for seq in (2, 3, 5, 6, 8, 300):
        ledger.not_offered("load", seq)
    assert counts(ledger) == {Verdict.DELIVERED: 12, Verdict.NOT_OFFERED: 8}
    assert ledger.judge().bad_fraction == pytest.approx(8 / 20)


def test_not_offered_counts_also_after_the_connection_has_ended() -> None:
    """What the schedule could not send because the server had closed is part of what was intended."""
    ledger = Ledger()
    healthy(ledger, "load", stream="load", last=4)
    ledger.ended("load")
    for seq in range(5, 10):
        ledger.not_offered("load", seq)
    assert counts(ledger) == {Verdict.DELIVERED: 5, Verdict.NOT_OFFERED: 5}


def test_same_push_may_be_recorded_twice_but_not_differently() -> None:
    ledger = Ledger()
    ledger.pushed("room", 0, 5)
    ledger.pushed("room", 0, 5)
    with pytest.raises(ValueError, match="already pushed"):
        ledger.pushed("room", 0, 6)
    assert ledger.judge().pushed == 1


@pytest.mark.parametrize("seq", [-1, 2**63 - 1])
def test_sequence_out_of_range_is_refused(seq: int) -> None:
    ledger = Ledger()
    with pytest.raises(ValueError, match="sequence is"):
        ledger.pushed("room", seq, 1)
    with pytest.raises(ValueError, match="sequence is"):
        ledger.arrived("alice", "room", seq, 1)
    with pytest.raises(ValueError, match="range is"):
        ledger.not_offered("room", seq)
    with pytest.raises(ValueError, match="range is"):
        ledger.told("alice", "room", [(seq, None)])
    assert not any(ledger.judge().counts.values())


@pytest.mark.parametrize("digest", [-1, 2**64])
def test_digest_out_of_range_is_refused(digest: int) -> None:
    ledger = Ledger()
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        ledger.pushed("room", 0, digest)
    ledger.pushed("room", 0, 1)
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        ledger.pushed("room", 1, digest)
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        ledger.arrived("alice", "room", 1, digest)
