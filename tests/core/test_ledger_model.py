"""The ledger agrees with a plain model that keeps sets of single numbers, over any history of any calls."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from roomful.core.ledger import Ledger, Verdict

# Two pages meet at 256, and a third begins at 512: small numbers of messages cross both borders.
SEQS = [*range(250, 262), 511, 512]
RECEIVERS = ("alice", "bob")
DEADLINE_S = 1.0


class Zone(NamedTuple):
    first: int
    top: int


@dataclass
class Person:
    """What the model knows of one receiver."""

    arrivals: list[tuple[int, bool, bool]] = field(default_factory=list)
    closed: set[int] = field(default_factory=set)
    opened: int | None = None
    zones: list[Zone] = field(default_factory=list)
    told: set[int] = field(default_factory=set)
    told_exactly: set[int] = field(default_factory=set)
    excluded: set[int] = field(default_factory=set)

    def expect(self, first: int, last: int | None) -> None:
        asked = {seq for seq in SEQS if first <= seq and (last is None or seq <= last)}
        self.told -= asked
        self.told_exactly -= asked
        if last is not None:
            self.closed |= asked
        else:
            self.opened = first if self.opened is None else min(first, self.opened)

    def tell(self, first: int, last: int | None) -> None:
        named = {seq for seq in SEQS if first <= seq and (last is None or seq <= last)}
        self.told |= named
        if last is not None:
            self.told_exactly |= named


class Model:
    """Sets and loops instead of pages and ranges; the definitions of the docstrings, word by word."""

    def __init__(self) -> None:
        self.pushed: set[int] = set()
        self.people = {name: Person() for name in RECEIVERS}
        self.not_offered: set[int] = set()
        self.doubted: set[int] = set()
        self.cuts: list[int] = []

    def top(self) -> int:
        return max(self.pushed, default=-1)

    def doubts(self) -> set[int]:
        seen = {seq for person in self.people.values() for seq, _, _ in person.arrivals} & self.pushed
        doubts = self.doubted - seen
        before = -1
        for top in self.cuts:
            proven = max((seq for seq in seen if before < seq <= top), default=before)
            doubts |= {seq for seq in SEQS if proven < seq <= top}
            before = top
        return doubts

    def verdicts(self, name: str) -> list[tuple[Verdict, int]]:
        person = self.people[name]
        verdicts, states = self.arrivals(person)
        owed, doubtful, accepted = self.rights(person, set(states))
        verdicts += [(state if seq in accepted else Verdict.PHANTOM, seq) for seq, state in states.items()]
        verdicts += [(Verdict.MISTOLD, seq) for seq in person.told_exactly & set(states)]
        verdicts += [(Verdict.NOT_OFFERED, seq) for seq in (self.not_offered - self.pushed) & accepted]
        missing = (self.pushed - set(states)) & (owed | doubtful)
        in_doubt = (missing & (doubtful | self.doubts())) - person.told
        verdicts += [(Verdict.TOLD, seq) for seq in missing & person.told]
        verdicts += [(Verdict.IN_DOUBT, seq) for seq in in_doubt]
        verdicts += [(Verdict.LOST, seq) for seq in missing - person.told - in_doubt]
        return verdicts

    def arrivals(self, person: Person) -> tuple[list[tuple[Verdict, int]], dict[int, Verdict]]:
        """Return the surplus arrivals, and how each other one came."""
        surplus: list[tuple[Verdict, int]] = []
        states: dict[int, Verdict] = {}
        for seq, intact, late in person.arrivals:
            if seq not in self.pushed:
                surplus.append((Verdict.PHANTOM, seq))
            elif seq in states:
                surplus.append((Verdict.DUPLICATE, seq))
            elif not intact:
                states[seq] = Verdict.CORRUPTED
            elif seq < max(states, default=-1):
                states[seq] = Verdict.REORDERED
            else:
                states[seq] = Verdict.LATE if late else Verdict.DELIVERED
        return surplus, states

    def rights(self, person: Person, came: set[int]) -> tuple[set[int], set[int], set[int]]:
        """Return what is owed, what is in doubt if it is missing, and what may come."""
        owed = person.closed | {seq for seq in SEQS if person.opened is not None and seq >= person.opened}
        accepted, doubtful = set(owed), set[int]()
        for zone in reversed(person.zones):
            area = {seq for seq in SEQS if seq >= zone.first} - accepted
            proven = max(area & came, default=-1)
            owed |= {seq for seq in area if seq <= proven}
            doubtful |= {seq for seq in area if proven < seq <= zone.top}
            accepted |= area
        return owed - person.excluded, doubtful - person.excluded, accepted - person.excluded


SEQ = st.sampled_from(SEQS)
NAME = st.sampled_from(RECEIVERS)
LAST = st.none() | SEQ
CALL = st.one_of(
    st.tuples(st.just("push"), SEQ, st.booleans()),
    st.tuples(st.just("push all")),
    st.tuples(
        st.just("arrive"), NAME, SEQ, st.sampled_from([True, True, False]), st.booleans(), st.booleans()
    ),
    st.tuples(st.just("arrive all"), NAME, SEQ, SEQ),
    st.tuples(st.just("expect"), NAME, LAST, LAST),
    st.tuples(st.just("leave"), NAME, SEQ),
    st.tuples(st.just("end"), NAME),
    st.tuples(st.just("tell"), NAME, SEQ, LAST),
    st.tuples(st.just("exclude"), NAME, SEQ, SEQ),
    st.tuples(st.just("not offered"), SEQ),
    st.tuples(st.just("doubt"), SEQ, SEQ),
    st.tuples(st.just("cut")),
    st.tuples(st.just("judge")),
)


class Pair:
    """Apply each call to the ledger and to the model."""

    def __init__(self) -> None:
        self.ledger = Ledger(deadline_s=DEADLINE_S)
        self.model = Model()
        self.timed: dict[int, bool] = {}

    def push(self, seq: int, timed: bool) -> None:
        timed = self.timed.setdefault(seq, timed)
        self.ledger.pushed("room", seq, seq, 0.0 if timed else None)
        self.model.pushed.add(seq)

    def arrive(self, name: str, seq: int, *, intact: bool, slow: bool, timed: bool) -> None:
        digest = seq if intact else seq + 1
        self.ledger.arrived(name, "room", seq, digest, (5.0 if slow else 0.5) if timed else None)
        # Whether it is late is known by the push, which may be recorded later.
        self.timed.setdefault(seq, True)
        self.model.people[name].arrivals.append((seq, intact, slow and timed and self.timed[seq]))

    def apply(self, call: tuple[object, ...]) -> None:
        match call:
            case ("push", int(seq), bool(timed)):
                self.push(seq, timed)
            case ("push all",):
                for seq in SEQS:
                    self.push(seq, timed=True)
            case ("arrive", str(name), int(seq), bool(intact), bool(slow), bool(timed)):
                self.arrive(name, seq, intact=intact, slow=slow, timed=timed)
            case ("arrive all", str(name), int(first), int(last)):
                for seq in SEQS[SEQS.index(first) : SEQS.index(last) + 1]:
                    self.arrive(name, seq, intact=True, slow=False, timed=False)
            case ("not offered", int(seq)):
                self.ledger.not_offered("room", seq)
                self.model.not_offered.add(seq)
            case ("doubt", int(first), int(last)):
                self.ledger.doubted("room", [(first, last)])
                self.model.doubted |= {seq for seq in SEQS if first <= seq <= last}
            case ("cut",):
                self.ledger.doubted("room")
                self.model.cuts.append(self.model.top())
            case ("judge",):
                self.ledger.judge()
            case (_, str(name), *_):
                self.account(call, name, self.model.people[name])

    def account(self, call: tuple[object, ...], name: str, person: Person) -> None:
        match call:
            case ("expect", _, int() | None as after, int() | None as until):
                self.ledger.expect(name, "room", after=after, until=until)
                person.expect(0 if after is None else after + 1, until)
            case ("leave", _, int(until)) if person.opened is not None:
                self.ledger.left(name, "room", until=until)
                person.closed |= {seq for seq in SEQS if person.opened <= seq <= until}
                person.opened = None
            case ("end", _) if person.opened is not None:
                self.ledger.ended(name)
                person.zones.append(Zone(person.opened, self.model.top()))
                person.opened = None
            case ("tell", _, int(first), int() | None as last):
                self.ledger.told(name, "room", [(first, last)])
                person.tell(first, last)
            case ("exclude", _, int(first), int(last)):
                self.ledger.excluded(name, "room", [(first, last)])
                person.excluded |= {seq for seq in SEQS if first <= seq <= last}


@settings(max_examples=300)
@given(st.lists(CALL, min_size=8, max_size=60))
def test_ledger_agrees_with_the_model(calls: list[tuple[object, ...]]) -> None:
    """Counts and places are those of the model, and fates and arrivals add up."""
    pair = Pair()
    for call in calls:
        pair.apply(call)
    judgement = pair.ledger.judge(max_examples=10**9)
    assert len(pair.model.pushed) == judgement.pushed
    for name, person in pair.model.people.items():
        expected = pair.model.verdicts(name)
        found = judgement.receivers.get(name, {})
        assert Counter(verdict for verdict, _ in expected) == Counter(found)
        came = set(Verdict) - {
            Verdict.LOST,
            Verdict.TOLD,
            Verdict.IN_DOUBT,
            Verdict.NOT_OFFERED,
            Verdict.MISTOLD,
        }
        assert len(person.arrivals) == sum(found.get(verdict, 0) for verdict in came)
        for verdict in set(Verdict) - {Verdict.DELIVERED}:
            places = {seq for said, seq in expected if said is verdict}
            shown = {
                seq
                for example in judgement.examples[verdict]
                if example.receiver == name
                for seq in range(example.first, example.last + 1)
            }
            assert places == shown
