"""Diagnosis: from what a run measured to the cause of what went wrong, or to the admission that it is not known.

Pure, and in three steps: `facts` reads single values out of a result, `symptoms` and `causes` declare what they ask of
them, `judge` compares the two. Nothing is measured here, and no cause is named by an `if`.
"""

from roomful.probe.diagnosis.judge import diagnose

__all__ = ("diagnose",)
