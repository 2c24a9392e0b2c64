"""What a judgement offers to the test that asked for it."""

import pytest

from roomful.core.ledger import FATES, FAULTS, Ledger, Verdict


def faulty_ledger() -> Ledger:
    ledger = Ledger()
    for receiver in ("alice", "bob"):
        ledger.expect(receiver, "room")
    for seq in range(20):
        ledger.pushed("room", seq, seq)
        ledger.arrived("alice", "room", seq, seq)
        if seq % 2:
            ledger.arrived("bob", "room", seq, seq)
    ledger.arrived("alice", "room", 3, 3)
    ledger.told("bob", "room", [(0, 1)])
    return ledger


def test_judgement_reads_as_a_table_with_examples() -> None:
    """It says what was owed, and each verdict with the first few places; faults carry an exclamation mark."""
    assert str(faulty_ledger().judge(max_examples=3)).splitlines() == [
        "20 pushed, 40 owed to 2 receivers",
        "  delivered   30",
        "  told        1  (bob in room: 0)",
        "! lost        9  (bob in room: 2; bob in room: 4; bob in room: 6; …)",
        "! duplicate   1  (alice in room: 3)",
        "! mistold     1  (bob in room: 1)",
    ]


def test_judgement_without_examples_still_counts() -> None:
    assert "! lost        9" in str(faulty_ledger().judge(max_examples=0)).splitlines()


def test_example_of_a_run_shows_both_ends() -> None:
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in range(300):
        ledger.pushed("room", seq, seq)
    assert "! lost        300  (alice in room: 0-299)" in str(ledger.judge())


def test_assert_clean_names_what_is_wrong() -> None:
    with pytest.raises(AssertionError, match=r"the ledger found lost, duplicate, mistold\n20 pushed"):
        faulty_ledger().judge().assert_clean()


def test_assert_clean_accepts_what_it_is_told_to_allow() -> None:
    """`allow` replaces the default, which accepts gap notices and doubts."""
    ledger = Ledger()
    ledger.expect("alice", "room")
    for seq in range(3):
        ledger.pushed("room", seq, seq)
    ledger.arrived("alice", "room", 0, 0)
    ledger.told("alice", "room", [(1, 1)])
    ledger.ended("alice")
    ledger.judge().assert_clean()
    ledger.judge().assert_clean(allow=[Verdict.TOLD, Verdict.IN_DOUBT])
    with pytest.raises(AssertionError, match="the ledger found told, in doubt"):
        ledger.judge().assert_clean(allow=())


def test_assert_clean_is_not_content_with_nothing() -> None:
    """A test in which nothing was delivered has tested nothing."""
    judgement = Ledger().judge()
    assert judgement.ok
    assert judgement.bad_fraction == 0
    with pytest.raises(AssertionError, match="at least 1 delivered"):
        judgement.assert_clean()
    judgement.assert_clean(at_least=0)


def test_judgement_counts_every_receiver_that_was_mentioned() -> None:
    ledger = faulty_ledger()
    ledger.expect("carol", "empty")
    judgement = ledger.judge()
    assert list(judgement.receivers) == ["alice", "bob", "carol"]
    assert all(set(counts) == set(Verdict) for counts in judgement.receivers.values())


def test_fates_and_faults_divide_the_verdicts() -> None:
    assert set(Verdict) - FATES == {Verdict.DUPLICATE, Verdict.PHANTOM, Verdict.MISTOLD}
    assert set(Verdict) - FAULTS == {Verdict.DELIVERED, Verdict.TOLD, Verdict.IN_DOUBT}
