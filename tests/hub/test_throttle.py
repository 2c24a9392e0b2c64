"""The throttle of log lines."""

from hypothesis import given
from hypothesis import strategies as st

from roomful.hub.throttle import Throttle


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 2)), max_size=50))
def test_throttle_tells_each_subject_once_a_second(history: list[tuple[str, float]]) -> None:
    """A line is told when none of its subject was told within a second; each one left out is counted exactly once."""
    throttle = Throttle()
    now = 0.0
    told: dict[str, float] = {}
    left_out = {"a": 0, "b": 0}
    for subject, passed in history:
        now += passed
        admitted = throttle.admit(subject, now)
        if subject in told and now - told[subject] < 1.0:
            assert admitted is None
            left_out[subject] += 1
        else:
            assert admitted == left_out[subject]
            left_out[subject], told[subject] = 0, now


def test_throttle_keeps_to_its_period() -> None:
    """The period is the caller's."""
    throttle = Throttle(10.0)

    assert [throttle.admit("a", now) for now in (0, 9.9, 10, 15, 20)] == [0, None, 1, None, 1]
