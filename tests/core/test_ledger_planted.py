"""Faults that are planted in a healthy history are counted exactly, whatever else happens beside them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomful.core.ledger import Judgement, Ledger, Verdict

DEADLINE_S = 1.0


@dataclass(frozen=True)
class Arrival:
    seq: int
    digest: int
    delay_s: float = 0.5


def digest_of(seq: int) -> int:
    return seq * 0x9E37_79B9 % 2**64


def healthy(seq: int) -> Arrival:
    return Arrival(seq, digest_of(seq))


class Plant:
    """One receiver's arrivals, in pairs of neighbours; each pair gets at most one fault."""

    def __init__(self, messages: int, random: Random) -> None:
        self.pairs = [[healthy(seq), healthy(seq + 1)] for seq in range(0, messages, 2)]
        self.told: list[tuple[int, int | None]] = []
        self.excluded: list[tuple[int, int]] = []
        self.expected = Counter({Verdict.DELIVERED: messages})
        self._messages = messages
        self._random = random

    def _gives(self, verdict: Verdict, *, instead: bool) -> None:
        self.expected[verdict] += 1
        self.expected[Verdict.DELIVERED] -= instead

    def drop(self, pair: list[Arrival]) -> None:
        pair.pop(self._random.randrange(2))
        self._gives(Verdict.LOST, instead=True)

    def tell(self, pair: list[Arrival]) -> None:
        gone = pair.pop(self._random.randrange(2))
        self.told.append((gone.seq, gone.seq))
        self._gives(Verdict.TOLD, instead=True)

    def mistell(self, pair: list[Arrival]) -> None:
        self.told.append((pair[0].seq, pair[0].seq))
        self._gives(Verdict.MISTOLD, instead=False)

    def duplicate(self, pair: list[Arrival]) -> None:
        again = self._random.choice(pair)
        self._random.choice(self.pairs[again.seq // 2 :]).append(again)
        self._gives(Verdict.DUPLICATE, instead=False)

    def swap(self, pair: list[Arrival]) -> None:
        pair[:2] = pair[1::-1]
        self._gives(Verdict.REORDERED, instead=True)

    def corrupt(self, pair: list[Arrival]) -> None:
        pair[0] = Arrival(pair[0].seq, pair[0].digest ^ 1 << self._random.randrange(64))
        self._gives(Verdict.CORRUPTED, instead=True)

    def delay(self, pair: list[Arrival]) -> None:
        pair[1] = Arrival(pair[1].seq, pair[1].digest, 1.5)
        self._gives(Verdict.LATE, instead=True)

    def invent(self, pair: list[Arrival]) -> None:
        seq = self._messages + self._random.choice([0, 1, 300, 2**60])
        pair.insert(self._random.randrange(3), healthy(seq))
        self._gives(Verdict.PHANTOM, instead=False)

    def misdirect(self, pair: list[Arrival]) -> None:
        self.excluded.append((pair[0].seq, pair[0].seq))
        self._gives(Verdict.PHANTOM, instead=True)


FAULTS: list[Callable[[Plant, list[Arrival]], None]] = [
    Plant.drop,
    Plant.tell,
    Plant.mistell,
    Plant.duplicate,
    Plant.swap,
    Plant.corrupt,
    Plant.delay,
    Plant.invent,
    Plant.misdirect,
]


def play(plants: dict[str, Plant], messages: int, random: Random) -> Judgement:
    """Record the history: receivers at their own pace, pushes somewhere before or after their arrivals."""
    ledger = Ledger(deadline_s=DEADLINE_S)
    queues: dict[str, list[Arrival]] = {}
    for name, plant in plants.items():
        ledger.expect(name, "room")
        ledger.told(name, "room", plant.told)
        ledger.excluded(name, "room", plant.excluded)
        queues[name] = [arrival for pair in plant.pairs for arrival in pair]
    turns = [name for name, queue in queues.items() for _ in queue] + [""] * messages
    random.shuffle(turns)
    pushed = 0
    for name in turns:
        if not name:
            ledger.pushed("room", pushed, digest_of(pushed), float(pushed))
            pushed += 1
            continue
        arrival = queues[name].pop(0)
        ledger.arrived(name, "room", arrival.seq, arrival.digest, arrival.seq + arrival.delay_s)
    return ledger.judge(max_examples=10**9)


def check(judgement: Judgement, plants: dict[str, Plant]) -> None:
    """Compare receiver by receiver, and the examples with the counts."""
    for name, plant in plants.items():
        assert plant.expected == Counter(judgement.receivers[name])
    assert sum(judgement.receivers[name][Verdict.LOST] for name in plants) == judgement.counts[Verdict.LOST]
    for verdict in set(Verdict) - {Verdict.DELIVERED, Verdict.DUPLICATE}:
        shown = sum(example.last - example.first + 1 for example in judgement.examples[verdict])
        assert shown == judgement.counts[verdict]


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_of_one_kind_is_counted_exactly(fault: Callable[[Plant, list[Arrival]], None]) -> None:
    """A third of all pairs has the same fault, over several pages."""
    random = Random(7)
    plant = Plant(3_000, random)
    for pair in plant.pairs[::3]:
        fault(plant, pair)
    plants = {"alice": plant, "bob": Plant(3_000, random)}
    check(play(plants, 3_000, random), plants)


@settings(max_examples=60)
@given(st.data(), st.integers(1, 150), st.integers(1, 3), st.randoms(use_true_random=False))
def test_planted_faults_are_counted_exactly(
    data: st.DataObject, pairs: int, receivers: int, random: Random
) -> None:
    """Any mixture of faults in any place gives exactly its own counts, for each receiver."""
    plants = {f"r{number}": Plant(2 * pairs, random) for number in range(receivers)}
    for plant in plants.values():
        chosen = data.draw(st.dictionaries(st.integers(0, pairs - 1), st.sampled_from(FAULTS)))
        for place, fault in chosen.items():
            fault(plant, plant.pairs[place])
    check(play(plants, 2 * pairs, random), plants)


@settings(max_examples=20)
@given(st.integers(1, 400), st.integers(1, 3), st.randoms(use_true_random=False))
def test_healthy_history_never_has_a_fault(messages: int, receivers: int, random: Random) -> None:
    """However pushes and arrivals interleave."""
    plants = {f"r{number}": Plant(2 * messages, random) for number in range(receivers)}
    play(plants, 2 * messages, random).assert_clean(allow=(), at_least=2 * messages * receivers)
