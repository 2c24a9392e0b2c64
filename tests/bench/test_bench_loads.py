"""The pure parts of the loads: seats, histograms, listings."""

from array import array
from collections import Counter

from bench.frames import server_frame
from bench.load.latency import histogram, percentile
from bench.load.rooms import Seat, rooms_of
from bench.load.slow import close_code_in, socket_memory
from bench.load.stream import Stream

MS = 1_000_000


def test_every_room_gets_as_many_members_and_no_member_a_room_twice() -> None:
    """1,000 rooms of 10, each of 2,000 members in 5."""
    places = [rooms_of(member, rooms=1000, each=5) for member in range(2000)]
    sizes = Counter(room for rooms in places for room in rooms)
    assert (set(sizes.values()), len(sizes)) == ({10}, 1000)
    assert all(len(set(rooms)) == 5 for rooms in places)
    assert all(rooms[0] == member for member, rooms in enumerate(places[:1000]))


def test_a_seat_takes_each_room_in_its_own_order() -> None:
    """Rooms may interleave; within a room nothing may be missing or out of order."""
    posted = [[b"0000a", b"0000b"], [b"0001a", b"0001b"]]
    good, odd = Seat(posted), Seat(posted)
    good.feed(b"".join(map(server_frame, (b"0001a", b"0000a", b"0000b", b"0001b"))))
    odd.feed(b"".join(map(server_frame, (b"0001a", b"0000b", b"0001b"))))
    assert (good.got, good.odd, good.got_in(0)) == (4, [], [b"0000a", b"0000b"])
    assert (odd.got, odd.odd, odd.got_in(1)) == (3, [b"0000b", b"0001b"], [b"0001a"])


def test_a_delivery_takes_from_its_intended_time_to_its_read() -> None:
    """A read of several frames counts for each of them; those before the first that counts do not."""
    stream = Stream(1 << 10)
    for number in range(4):
        stream.append(server_frame(b"%d" % number * 10), 2)
    ends = stream.ends
    log = [(5 * MS, 0, ends[1]), (9 * MS, 1, ends[3]), (9 * MS, 0, ends[3]), (9 * MS, 7, 12)]
    counts = histogram(log, stream, [0, MS, 2 * MS, 3 * MS], members=range(2), first=1)
    assert {step: count for step, count in enumerate(counts) if count} == {400: 1, 600: 2, 700: 2, 800: 1}


def test_percentiles_are_the_ends_of_steps() -> None:
    """The step within which so many deliveries were there."""
    counts = array("q", [0, 98, 1, 1])
    assert [percentile(counts, share) for share in (0.5, 0.98, 0.99, 0.999)] == [2e-5, 2e-5, 3e-5, 4e-5]


def test_socket_memory_is_that_of_the_one_connection() -> None:
    """What `ss -tmnH` lists takes two lines for each socket."""
    listing = (
        "ESTAB 0 9 127.0.0.1:80 127.0.0.1:7\n\t skmem:(r0,rb131072,t0,tb46080,f1,w11,o0,bl0,d0)\n"
        "ESTAB 0 9 127.0.0.1:80 127.0.0.1:8\n\t skmem:(r0,rb131072,t0,tb46080,f1,w2304,o0,bl0,d0)\n"
    )
    assert socket_memory(listing, 80, 8) == 2304
    assert socket_memory(listing, 80, 9) is None


def test_a_close_code_is_found_behind_whole_frames_only() -> None:
    """The last thing that a server may have sent."""
    assert close_code_in(server_frame(b"x" * 300) + b"\x88\x02\x0f\xa0") == 4000
    assert close_code_in(server_frame(b"x" * 300)[:-1]) is None
