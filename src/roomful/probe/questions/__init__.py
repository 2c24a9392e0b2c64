"""Questions: small experiments beside the loads, each made to tell two causes apart.

They load nothing: a dozen messages, some connections. What the answers mean is the diagnosis' to say.
"""

from roomful.probe.questions.idle import IdleWatch
from roomful.probe.questions.lone import ask_lone
from roomful.probe.questions.storm import ask_storm

__all__ = ("IdleWatch", "ask_lone", "ask_storm")
