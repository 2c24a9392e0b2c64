"""Evidence: what the machine says beside the traffic, sampled and time-stamped."""

from roomful.probe.evidence.collector import Evidence

__all__ = ("Evidence",)
