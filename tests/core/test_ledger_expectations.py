"""What a receiver is owed: joins, leaves, ends, resumes, notices, exclusions and doubts."""

from collections.abc import Iterable

import pytest

from roomful.core.ledger import Ledger, Verdict


def ledger_with(*, pushed: int) -> Ledger:
    ledger = Ledger()
    for seq in range(pushed):
        ledger.pushed("room", seq, seq)
    return ledger


def arrive(ledger: Ledger, seqs: Iterable[int], receiver: str = "alice") -> None:
    for seq in seqs:
        ledger.arrived(receiver, "room", seq, seq)


def counts(ledger: Ledger, receiver: str = "alice") -> dict[Verdict, int]:
    return {verdict: count for verdict, count in ledger.judge().receivers[receiver].items() if count}


def test_join_owes_only_what_comes_after_its_position() -> None:
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room", after=4)
    arrive(ledger, range(5, 10))
    assert counts(ledger) == {Verdict.DELIVERED: 5}
    arrive(ledger, [2])
    assert counts(ledger) == {Verdict.DELIVERED: 5, Verdict.PHANTOM: 1}


def test_expectation_may_be_recorded_after_the_arrival() -> None:
    """A reader task may be quicker than the test that awaits the join."""
    ledger = ledger_with(pushed=10)
    arrive(ledger, range(5, 10))
    ledger.expect("alice", "room", after=4)
    ledger.judge().assert_clean(allow=(), at_least=5)


def test_left_owes_all_before_and_nothing_after() -> None:
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, [0, 1, 2, 3, 8])
    ledger.left("alice", "room", until=5)
    assert counts(ledger) == {Verdict.DELIVERED: 4, Verdict.LOST: 2, Verdict.PHANTOM: 1}


def test_expectations_add_up() -> None:
    """A second open one with a later beginning takes nothing back; one with an earlier beginning adds."""
    ledger = ledger_with(pushed=10)
    for after in (5, 7, 3):
        ledger.expect("alice", "room", after=after)
    assert counts(ledger) == {Verdict.LOST: 6}
    ledger.expect("alice", "room", after=0, until=1)
    assert counts(ledger) == {Verdict.LOST: 7}


def test_left_and_joined_again_leaves_a_stretch_that_is_not_owed() -> None:
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room", until=2)
    ledger.expect("alice", "room", after=6)
    ledger.left("alice", "room", until=8)
    arrive(ledger, [0, 1, 2, 7, 8])
    ledger.judge().assert_clean(allow=(), at_least=5)


def test_missing_is_lost_by_default_at_the_end_too() -> None:
    """Nothing is in doubt unless the caller says that the connection ended."""
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, range(6))
    assert counts(ledger) == {Verdict.DELIVERED: 6, Verdict.LOST: 4}


def test_ended_puts_the_tail_in_doubt_and_owes_nothing_later() -> None:
    """What the last arrival proves to have been passed is lost; the tail is in doubt; the rest is not owed."""
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, [0, 1, 2, 3, 5, 6])
    ledger.ended("alice")
    for seq in range(10, 20):
        ledger.pushed("room", seq, seq)
    assert counts(ledger) == {Verdict.DELIVERED: 6, Verdict.LOST: 1, Verdict.IN_DOUBT: 3}
    ledger.judge().assert_clean(allow=[Verdict.IN_DOUBT, Verdict.LOST])


def test_ended_without_any_arrival_doubts_all() -> None:
    ledger = ledger_with(pushed=600)
    ledger.expect("alice", "room", after=99)
    ledger.ended("alice", "room")
    assert counts(ledger) == {Verdict.IN_DOUBT: 500}


def test_ended_tolerates_arrivals_that_are_recorded_afterwards() -> None:
    """A reader may drain its buffer after the test noted the end, and receipts may be late."""
    ledger = ledger_with(pushed=3)
    ledger.expect("alice", "room")
    ledger.ended("alice")
    arrive(ledger, [0, 1])
    for seq in range(3, 600):
        ledger.pushed("room", seq, seq)
    arrive(ledger, range(2, 500))
    assert counts(ledger) == {Verdict.DELIVERED: 500}


def test_ended_changes_only_what_is_open() -> None:
    ledger = ledger_with(pushed=5)
    ledger.expect("alice", "room", until=4)
    ledger.ended("alice")
    assert counts(ledger) == {Verdict.LOST: 5}


def test_resume_owes_everything_again() -> None:
    """After a resume nothing is in doubt any more: it came, was told or is lost."""
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, range(4))
    ledger.ended("alice")
    ledger.expect("alice", "room", after=3)
    assert counts(ledger) == {Verdict.DELIVERED: 4, Verdict.LOST: 6}
    ledger.told("alice", "room", [(4, 5), (6, 6)])
    arrive(ledger, range(7, 10))
    assert counts(ledger) == {Verdict.DELIVERED: 7, Verdict.TOLD: 3}
    ledger.judge().assert_clean()


def test_resume_that_replays_too_much_has_duplicates() -> None:
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, range(6))
    ledger.ended("alice")
    ledger.expect("alice", "room", after=5)
    arrive(ledger, range(4, 10))
    assert counts(ledger) == {Verdict.DELIVERED: 10, Verdict.DUPLICATE: 2}


def test_rejoin_without_resume_keeps_the_doubt() -> None:
    """What stood between the end and the new join was not asked for again: it stays in doubt."""
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, range(4))
    ledger.ended("alice")
    ledger.expect("alice", "room", after=6)
    arrive(ledger, range(7, 10))
    assert counts(ledger) == {Verdict.DELIVERED: 7, Verdict.IN_DOUBT: 3}


def test_ended_is_not_proven_by_what_came_on_an_earlier_connection() -> None:
    ledger = ledger_with(pushed=1_000)
    ledger.expect("alice", "room", until=299)
    arrive(ledger, range(300))
    ledger.expect("alice", "room", after=599)
    ledger.ended("alice")
    assert counts(ledger) == {Verdict.DELIVERED: 300, Verdict.IN_DOUBT: 400}


def test_rejoin_that_ends_too_proves_nothing_about_the_first_connection() -> None:
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, range(4))
    ledger.ended("alice")
    ledger.expect("alice", "room", after=6)
    arrive(ledger, [7, 8])
    ledger.ended("alice")
    assert counts(ledger) == {Verdict.DELIVERED: 6, Verdict.IN_DOUBT: 4}


def test_ended_doubts_up_to_the_highest_push_in_whatever_order_they_were_recorded() -> None:
    ledger = Ledger()
    for seq in (0, 4, 2, 3, 1):
        ledger.pushed("room", seq, seq)
    ledger.expect("alice", "room")
    ledger.ended("alice")
    assert counts(ledger) == {Verdict.IN_DOUBT: 5}


def test_many_ends_and_resumes_are_judged_each_on_its_own() -> None:
    """A hole in an earlier connection is lost, also when the following ones were whole."""
    ledger = ledger_with(pushed=1_000)
    after = -1
    for end in range(9, 1_000, 10):
        ledger.expect("alice", "room", after=after)
        arrive(ledger, [seq for seq in range(after + 1, end) if seq != 55])
        ledger.ended("alice")
        after = end - 1
    judgement = ledger.judge()
    assert counts(ledger) == {Verdict.DELIVERED: 998, Verdict.LOST: 1, Verdict.IN_DOUBT: 1}
    assert [(example.first, example.last) for example in judgement.examples[Verdict.LOST]] == [(55, 55)]


def test_told_excuses_what_is_missing() -> None:
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, [0, 1, 2, 6, 9])
    ledger.told("alice", "room", [(3, 3), (5, 5)])
    ledger.told("alice", "room", [(4, 4)])
    assert counts(ledger) == {Verdict.DELIVERED: 5, Verdict.TOLD: 3, Verdict.LOST: 2}
    assert [(example.first, example.last) for example in ledger.judge().examples[Verdict.TOLD]] == [(3, 5)]


def test_told_covers_what_was_in_doubt() -> None:
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, range(4))
    ledger.told("alice", "room", [(4, 6)])
    ledger.ended("alice")
    assert counts(ledger) == {Verdict.DELIVERED: 4, Verdict.TOLD: 3, Verdict.IN_DOUBT: 3}


def test_mistold_is_a_notice_about_what_came() -> None:
    """A notice must be exact: what it gives up must not come, before or after it."""
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, range(5))
    ledger.told("alice", "room", [(4, 6)])
    arrive(ledger, range(6, 10))
    assert counts(ledger) == {Verdict.DELIVERED: 9, Verdict.TOLD: 1, Verdict.MISTOLD: 2}
    assert not ledger.judge().ok


def test_open_ended_notice_excuses_and_never_lies() -> None:
    """After a failover that lost writes a notice says "from here to unknown"."""
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, [0, 1, 5])
    ledger.told("alice", "room", [(2, None)])
    assert counts(ledger) == {Verdict.DELIVERED: 3, Verdict.TOLD: 7}


def test_resume_withdraws_notices_about_what_it_asks_for() -> None:
    """Who asks again gets it or is told again; so a later arrival is no contradiction, and silence is a loss."""
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    arrive(ledger, range(4))
    ledger.told("alice", "room", [(4, 6), (8, 8)])
    ledger.ended("alice")
    ledger.expect("alice", "room", after=3, until=7)
    arrive(ledger, [4, 5, 7])
    assert counts(ledger) == {Verdict.DELIVERED: 7, Verdict.LOST: 1, Verdict.TOLD: 1, Verdict.IN_DOUBT: 1}


def test_excluded_is_not_owed_and_its_arrival_is_a_phantom() -> None:
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    ledger.excluded("alice", "room", [(3, 3), (5, 6)])
    arrive(ledger, [0, 1, 2, 4, 6, 7, 8, 9])
    assert counts(ledger) == {Verdict.DELIVERED: 7, Verdict.PHANTOM: 1}


def test_excluded_is_not_in_doubt_either() -> None:
    ledger = ledger_with(pushed=10)
    ledger.expect("alice", "room")
    ledger.excluded("alice", "room", [(8, 8)])
    arrive(ledger, range(6))
    ledger.ended("alice")
    assert counts(ledger) == {Verdict.DELIVERED: 6, Verdict.IN_DOUBT: 3}


def test_hole_in_the_numbers_is_no_loss() -> None:
    """Only what was pushed can be lost; a position that was never used is not missed."""
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in [*range(0, 20, 3), 10**12]:
        ledger.pushed("room", seq, seq)
        arrive(ledger, [seq])
    ledger.judge().assert_clean(allow=(), at_least=8)
    ledger.expect("bob", "room", until=3)
    assert counts(ledger, "bob") == {Verdict.LOST: 2}
    ledger.expect("bob", "room")
    assert counts(ledger, "bob") == {Verdict.LOST: 8}


def test_doubted_push_that_nobody_has_is_in_doubt() -> None:
    ledger = ledger_with(pushed=10)
    for receiver in ("alice", "bob"):
        ledger.expect(receiver, "room")
    arrive(ledger, [0, 1, 2, 4, 5, 6, 7, 8, 9], "alice")
    arrive(ledger, [0, 1, 2, 4, 6, 7, 8, 9], "bob")
    ledger.doubted("room", [(3, 3), (5, 5)])
    assert counts(ledger, "alice") == {Verdict.DELIVERED: 9, Verdict.IN_DOUBT: 1}
    assert counts(ledger, "bob") == {Verdict.DELIVERED: 8, Verdict.IN_DOUBT: 1, Verdict.LOST: 1}


def test_doubted_tail_begins_above_the_last_message_that_anybody_has() -> None:
    """When a sender's connection ends, what it sent before a delivered message had been read by the server."""
    ledger = ledger_with(pushed=10)
    for receiver in ("alice", "bob"):
        ledger.expect(receiver, "room")
    arrive(ledger, [0, 1, 2, 3, 5], "alice")
    arrive(ledger, range(4), "bob")
    ledger.doubted("room")
    for seq in range(10, 20):
        ledger.pushed("room", seq, seq)
    arrive(ledger, range(10, 20), "alice")
    arrive(ledger, range(10, 20), "bob")
    assert counts(ledger, "alice") == {Verdict.DELIVERED: 15, Verdict.LOST: 1, Verdict.IN_DOUBT: 4}
    assert counts(ledger, "bob") == {Verdict.DELIVERED: 14, Verdict.LOST: 2, Verdict.IN_DOUBT: 4}


def test_doubted_without_receivers_or_pushes_is_harmless() -> None:
    ledger = ledger_with(pushed=3)
    ledger.doubted("room")
    ledger.doubted("empty")
    assert ledger.judge().ok


def test_receiver_that_is_unknown_cannot_leave_or_end() -> None:
    """A misspelt name must not quietly excuse a loss."""
    ledger = ledger_with(pushed=3)
    ledger.expect("alice", "room")
    with pytest.raises(ValueError, match="'bob' is unknown"):
        ledger.ended("bob")
    with pytest.raises(ValueError, match="'bob' is unknown"):
        ledger.left("bob", "room", until=1)
    with pytest.raises(ValueError, match="no account with stream 'hall'"):
        ledger.ended("alice", "hall")
    with pytest.raises(ValueError, match="no open expectation of stream 'hall'"):
        ledger.left("alice", "hall", until=1)
    ledger.ended("alice", "room")
    with pytest.raises(ValueError, match="no open expectation of stream 'room'"):
        ledger.left("alice", "room", until=1)
