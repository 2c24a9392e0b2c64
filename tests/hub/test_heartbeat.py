"""The heartbeat: whose turn it is, and what a silent connection gets."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roomful.hub.heartbeat import Beat, Pulse, Wheel

SLOTS = 5
members = st.integers(0, 6)


class WheelMachine(RuleBasedStateMachine):
    """A wheel agrees with a table of how many ticks each member has left."""

    def __init__(self) -> None:
        super().__init__()
        self.wheel: Wheel[int] = Wheel(SLOTS)
        self.left: dict[int, int] = {}

    @rule(member=members, ticks=st.integers(1, SLOTS))
    def put(self, member: int, ticks: int) -> None:
        self.wheel.put(member, ticks=ticks)
        self.left[member] = ticks

    @rule(member=members)
    def discard(self, member: int) -> None:
        self.wheel.discard(member)
        self.left.pop(member, None)

    @rule()
    def tick(self) -> None:
        self.left = {member: ticks - 1 for member, ticks in self.left.items()}
        due = {member for member, ticks in self.left.items() if ticks == 0}

        turn = self.wheel.tick()

        assert sorted(turn) == sorted(due)
        for member in due:
            del self.left[member]

    @invariant()
    def counts(self) -> None:
        assert len(self.wheel) == len(self.left)


TestWheel = WheelMachine.TestCase
TestWheel.settings = settings(max_examples=40)


def test_silent_connection_is_pinged_and_then_let_go() -> None:
    """Silence over an interval gets a ping, silence after the ping ends it."""
    pulse = Pulse()

    assert [pulse.beat(reads=True, flows=True) for _ in range(2)] == [Beat.PING, Beat.LET_GO]


def test_any_bytes_are_a_sign_of_life() -> None:
    """Bytes before or after the ping start the silence anew."""
    pulse = Pulse()
    beats = []
    for heard in (True, False, True, False, False):
        pulse.heard = heard
        beats.append(pulse.beat(reads=True, flows=True))

    assert beats == [Beat.REST, Beat.PING, Beat.REST, Beat.PING, Beat.LET_GO]


def test_silence_does_not_count_while_its_socket_is_not_read() -> None:
    """A pong that nobody reads cannot be missed; a ping still finds out a socket that is gone."""
    pulse = Pulse()

    assert pulse.beat(reads=True, flows=True) is Beat.PING
    assert [pulse.beat(reads=False, flows=True) for _ in range(3)] == [Beat.PING] * 3
    assert [pulse.beat(reads=True, flows=True) for _ in range(2)] == [Beat.PING, Beat.LET_GO]


def test_full_transport_is_not_pinged() -> None:
    """A ping would stand behind what is unsent; the write deadline judges instead."""
    pulse = Pulse()

    assert pulse.beat(reads=True, flows=True) is Beat.PING
    assert [pulse.beat(reads=reads, flows=False) for reads in (True, False)] == [Beat.REST] * 2
    assert [pulse.beat(reads=True, flows=True) for _ in range(2)] == [Beat.PING, Beat.LET_GO]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=20))
def test_only_a_pinged_and_silent_connection_is_let_go(turns: list[tuple[bool, bool, bool]]) -> None:
    """Whatever happens, it is let go at a turn only if it could have been heard since a ping, and was not."""
    pulse = Pulse()
    awaits_pong = False
    for heard, reads, flows in turns:
        pulse.heard = heard
        beat = pulse.beat(reads=reads, flows=flows)
        if heard or not flows:
            assert beat is Beat.REST
            awaits_pong = False
        elif not reads:
            assert beat is Beat.PING
            awaits_pong = False
        else:
            assert beat is (Beat.LET_GO if awaits_pong else Beat.PING)
            awaits_pong = True
        if beat is Beat.LET_GO:
            return


def test_full_transport_that_does_not_shrink_misses_its_deadline() -> None:
    """Without progress for the deadline a write has failed; the first look only takes the measure."""
    pulse = Pulse()

    assert [pulse.progressed(100, 1.0, 3.0) for _ in range(4)] == [True, True, True, False]


def test_one_byte_is_progress() -> None:
    """A slow reader that takes anything at all within the deadline stays."""
    pulse = Pulse()
    unsent = [100, 100, 100, 99, 99, 99, 98]

    assert [pulse.progressed(n, 1.0, 3.0) for n in unsent] == [True] * 7


def test_flowing_transport_is_measured_anew() -> None:
    """What a transport held before it flowed says nothing about its next jam."""
    pulse = Pulse()
    pulse.progressed(5, 1.0, 2.0)
    pulse.progressed(5, 1.0, 2.0)
    pulse.flowing()

    assert [pulse.progressed(100, 1.0, 2.0) for _ in range(3)] == [True, True, False]
