"""Schedules: due times and their inverse."""

from hypothesis import given
from hypothesis import strategies as st

from roomful.probe.schedule import Burst, Constant, Ramp, Schedule, Window

RATES = st.floats(0.1, 200_000)
COUNTS = st.integers(1, 1000)
SCHEDULES: st.SearchStrategy[Schedule] = st.one_of(
    st.builds(Constant, RATES, COUNTS),
    st.builds(Ramp, RATES, COUNTS),
    st.builds(Burst, RATES, COUNTS, st.integers(1, 500)),
)


@given(SCHEDULES, st.data())
def test_due_by_is_the_inverse_of_due_s(schedule: Schedule, data: st.DataObject) -> None:
    """A message is due from its time on, and not a moment before."""
    index = data.draw(st.integers(0, schedule.count - 1))
    time_s = schedule.due_s(index)
    assert schedule.due_by(time_s) > index
    assert schedule.due_s(schedule.due_by(time_s) - 1) <= time_s
    assert schedule.due_by(-0.001) == 0


@given(SCHEDULES)
def test_times_never_go_back_and_end_within_the_duration(schedule: Schedule) -> None:
    """Sequences are in the order of time."""
    times = [schedule.due_s(index) for index in range(min(schedule.count, 300))]
    assert times == sorted(times)
    assert schedule.due_s(schedule.count - 1) <= schedule.duration_s * 1.000001
    assert schedule.due_by(schedule.duration_s * 2) == schedule.count


def test_a_burst_is_due_at_once() -> None:
    """The rate is that of the average."""
    schedule = Burst(rate=100, count=30, burst=10)
    assert [schedule.due_by(time_s) for time_s in (0, 0.09, 0.1, 0.2)] == [10, 10, 20, 30]


def test_a_window_waits_for_what_comes_back() -> None:
    """It is the one schedule that follows the server, and only an estimate uses it."""
    came = 0
    window = Window(4, lambda: came, duration_s=1.0, count=100)
    assert window.due_by(0.1) == 4
    came = 3
    assert window.due_by(0.2) == 7
    assert window.due_s(6) == 0.2
