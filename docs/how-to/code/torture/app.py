from fastapi import FastAPI

from roomful import Hub
from roomful.fastapi import consumer_route
from roomful.testing.nemesis import LIMITS, POLICIES, Subject

hub = Hub(limits=LIMITS, rooms=POLICIES)
app = FastAPI(lifespan=hub.lifespan)
consumer_route(app, "/nemesis/{rooms}", hub=hub)(Subject)
