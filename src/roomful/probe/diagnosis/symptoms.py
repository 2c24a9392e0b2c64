"""The symptoms: what can go wrong, when it is there, and how it is said; no cause is named here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from roomful.probe.diagnosis.conditions import Condition, all_of, at_least, is_no, is_true

__all__ = ("SYMPTOMS", "SymptomRule")


@dataclass(frozen=True, slots=True)
class SymptomRule:
    """Something that went wrong: when it is there, and how it is said."""

    id: str
    when: tuple[Condition, ...]
    sentence: str


# From the gravest on; the first that is there gives the verdict its status.
SYMPTOMS: Final = (
    SymptomRule("died", all_of(is_true("server.gone")), "The server was gone before the run was over."),
    SymptomRule(
        "closed",
        all_of(at_least("closes.number", 1), is_no("server.gone")),
        "{closes.number} were closed by the other side under load, most with code {closes.code}.",
    ),
    SymptomRule(
        "idle_cut",
        all_of(at_least("idle.cuts", 1)),
        "Connections that said nothing were ended {idle.cuts:n} times, after {idle.age_s}.",
    ),
    SymptomRule(
        "refused_in_turn",
        all_of(is_true("storm.in_turn_failed"), is_no("server.gone")),
        "Only {storm.in_turn} opened one after the other, of {storm.wanted:n}.",
    ),
    SymptomRule(
        "refused_together",
        all_of(at_least("storm.late", 3), is_no("server.gone")),
        "Of {storm.wanted} that came at once {storm.late:n} took 0.9 s or longer to open.",
    ),
    SymptomRule(
        "lost",
        all_of(at_least("lost.messages", 1)),
        "{lost.messages} were lost although their connections stayed open.",
    ),
    SymptomRule(
        "corrupted", all_of(at_least("corrupted.messages", 1)), "{corrupted.messages} came back changed."
    ),
    SymptomRule("duplicated", all_of(at_least("duplicate.messages", 1)), "{duplicate.messages} came twice."),
    SymptomRule(
        "reordered",
        all_of(at_least("reordered.messages", 1)),
        "{reordered.messages} came after a later one of their sender.",
    ),
    SymptomRule(
        "too_large",
        all_of(is_true("size.refused"), is_no("server.gone")),
        "A message of {size.good} passes, one of {size.bad} does not.",
    ),
    SymptomRule(
        "swallowed",
        all_of(is_true("size.swallowed"), is_no("server.gone")),
        "Messages of {size.bad} never come back, although no connection is closed.",
    ),
    SymptomRule(
        "stalls",
        # 200 ms is the shortest time after which TCP sends again (Linux' TCP_RTO_MIN). Under load a server may be slow
        # for reasons of its own, and on one machine segments are sent again when a receiver is full; so what counts
        # is that handshakes stall too, one after the other and without any load.
        all_of(at_least("network.resent", 0.02), at_least("storm.slowest_s", 0.19)),
        "Without load a handshake took {storm.slowest_s}, and {network.resent} of our segments were sent again.",
    ),
    SymptomRule(
        "slow",
        # 5 ms is what 30 healthy round trips take here; a ping shows what this machine and network need anyway.
        all_of(at_least("lone.echo_s", 0.005), at_least("lone.slowness", 8)),
        "A lone message is answered after {lone.echo_s}, a ping after {lone.ping_s}.",
    ),
)
