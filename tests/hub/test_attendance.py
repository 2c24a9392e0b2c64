"""Attendance: somebody is present from its first connection until the grace time after its last one."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from roomful.core.names import RoomName
from roomful.hub.attendance import Attendance, News

ROOM = RoomName("lobby")
GRACE_S = 5.0

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from("ab"), st.sampled_from([b"1", b"2"])),
        st.tuples(st.just("leave"), st.sampled_from("ab"), st.just(b"")),
        st.tuples(st.just("pass"), st.just(""), st.sampled_from([b"1", b"3", b"5"])),
        st.tuples(st.sampled_from(["take", "told", "failed", "lost"]), st.just(""), st.just(b"")),
    ),
    max_size=80,
)


class Model:
    """Who must be present, by the rule alone; and a layer that is told, in any order and with losses."""

    def __init__(self) -> None:
        self.attendance = Attendance()
        self.now = 0.0
        self.counts: dict[str, int] = {}
        self.infos: dict[str, bytes] = {}
        self.until: dict[str, float] = {}
        self.layer: dict[str, bytes] = {}
        self.under_way: list[News] = []

    @property
    def present(self) -> dict[str, bytes]:
        return {
            who: info for who, info in self.infos.items() if self.counts[who] or self.until[who] > self.now
        }

    def step(self, what: str, who: str, info: bytes) -> None:
        if what == "enter":
            self.counts[who] = self.counts.get(who, 0) + 1
            self.infos[who] = info
            self.attendance.enter(ROOM, who, info)
        elif what == "leave" and self.counts.get(who):
            self.counts[who] -= 1
            self.until[who] = self.now + GRACE_S
            self.attendance.leave(ROOM, who, self.until[who])
        elif what == "pass":
            self.now += int(info)
            self.attendance.look(self.now)
        elif what == "take":
            taken = self.attendance.take(1)
            assert not {news[1] for news in taken} & {news[1] for news in self.under_way}
            self.under_way += taken
        elif self.under_way and what in ("told", "failed", "lost"):
            news = self.under_way.pop(0)
            if what != "failed":
                self._apply(news)
            (self.attendance.told if what == "told" else self.attendance.failed)(news)

    def _apply(self, news: News) -> None:
        _, who, info = news
        if info is None:
            self.layer.pop(who, None)
        else:
            self.layer[who] = info

    def finish(self) -> None:
        while self.under_way or self.attendance.has_news:
            self.step("take", "", b"")
            self.step("told", "", b"")


@given(STEPS)
@settings(max_examples=200)
def test_layer_is_told_who_is_present_whatever_happens(steps: list[tuple[str, str, bytes]]) -> None:
    """After any interleaving of joins, losses, time and failures, what the layer was told is what is so."""
    model = Model()
    for step in steps:
        model.step(*step)
        assert len(model.attendance) == len(model.present)
    model.finish()

    assert model.layer == model.present
    assert model.attendance.is_told(ROOM)

    for who, count in model.counts.items():
        for _ in range(count):
            model.step("leave", who, b"")
    model.step("pass", "", b"5")
    model.finish()
    assert model.layer == {}
    assert model.attendance._known == {}, "nobody is remembered who is not present"
    assert model.attendance.next_look is None


def test_resume_within_the_grace_time_is_no_news() -> None:
    """A connection that is lost and comes back in time shows nothing; one that comes later does."""
    attendance = Attendance()
    attendance.enter(ROOM, "ada", b"1")
    for news in attendance.take(9):
        attendance.told(news)

    attendance.leave(ROOM, "ada", 5.0)
    attendance.look(4.9)
    attendance.enter(ROOM, "ada", b"1")
    attendance.look(5.0)
    assert not attendance.has_news

    attendance.leave(ROOM, "ada", 12.0)
    assert attendance.next_look == 12.0
    attendance.look(12.0)
    assert attendance.take(9) == [(ROOM, "ada", None)]
    assert not attendance.is_told(ROOM)


def test_name_that_flutters_stands_in_the_timetable_once() -> None:
    """However often somebody comes and goes, there is one time to look at it."""
    attendance = Attendance()
    for number in range(1000):
        attendance.enter(ROOM, "ada", b"1")
        attendance.leave(ROOM, "ada", number + GRACE_S)

    assert len(attendance._looks) == 1
    attendance.look(math.inf)
    assert attendance.take(9) == []  # it was never told, so nothing is to be taken back


def test_news_whose_fate_is_unknown_is_told_again() -> None:
    """The layer may have heard that somebody came before it went away; so it is told that it has gone."""
    attendance = Attendance()
    attendance.enter(ROOM, "ada", b"1")
    [news] = attendance.take(9)
    attendance.leave(ROOM, "ada", 5.0)
    attendance.look(5.0)
    attendance.failed(news)

    assert attendance.take(9) == [(ROOM, "ada", None)]


def test_second_loss_begins_its_own_grace_time() -> None:
    """Whoever came back and went again is present until the later time; one of two connections sets no time at all."""
    attendance = Attendance()
    attendance.enter(ROOM, "ada", b"1")
    attendance.enter(ROOM, "ada", b"1")
    attendance.leave(ROOM, "ada", 5.0)
    assert attendance.next_look is None
    attendance.leave(ROOM, "ada", 5.0)
    attendance.enter(ROOM, "ada", b"1")
    attendance.leave(ROOM, "ada", 5.5)
    attendance.look(5.0)
    assert (len(attendance), attendance.next_look) == (1, 5.5)
    attendance.look(5.5)
    assert len(attendance) == 0
