"""Intervention: turn one knob of the server and see whether the border moves as the cause says that it must.

The prediction is stated first; A and B alternate; a knob that must not matter is turned too.
"""

from roomful.probe.intervention.knobs import PLACEBO, parse_knob
from roomful.probe.intervention.rounds import Plan, intervene

__all__ = ("PLACEBO", "Plan", "intervene", "parse_knob")
