"""The application under torture: `Subject` behind a hub with bounds that are soon reached.

From the environment: `NEMESIS_PATH=plain` takes the plain ASGI path, `NEMESIS_LAYER` is the URL of a layer or
`interrupted`, and `NEMESIS_MUTATION` names a rule that is broken.
"""

import os

from roomful import Hub
from roomful.core.ports import Layer
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from roomful.testing.nemesis import LIMITS, POLICIES, Subject

from .interrupted import InterruptedLayer
from .mutations import MUTATIONS

__all__ = ("app", "hub")

if name := os.environ.get("NEMESIS_MUTATION"):
    MUTATIONS[name][0]()

layer: Layer | str | None = os.environ.get("NEMESIS_LAYER")
if layer == "interrupted":
    layer = InterruptedLayer(seed=1)

hub = Hub(layer, limits=LIMITS, rooms=POLICIES, fast_path=os.environ.get("NEMESIS_PATH") != "plain")

app = ProtocolTypeRouter(
    {"websocket": URLRouter([route("/nemesis/{rooms}", Subject.as_asgi(hub=hub))])}, hub=hub
)
