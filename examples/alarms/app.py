"""Alarms for each user, at `/ws/alarms/{user_id}`, for whoever has a token of that user.

uvicorn examples.alarms.app:app

They are raised over HTTP; with `ALARMS_LAYER=redis://…` also by other processes:

roomful push redis://… alarms:ada '{"type": "alarm", "data": {"text": "The kettle boils"}}'
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Annotated, Final

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, StringConstraints

from examples.pages import add_page
from roomful import (
    Admission,
    Consumer,
    Event,
    Hub,
    JwtAuth,
    NotAuthenticated,
    Permissions,
    Principal,
    RoomPolicy,
    browser,
)
from roomful.fastapi import consumer_route

__all__ = ("Alarms", "app", "hub")

# Processes that check each other's tokens share one key; alone, a new one at each start is as good.
KEY: Final = os.environ.get("ALARMS_KEY") or secrets.token_urlsafe(48)
TOKEN_S: Final = 15 * 60

UserId = Annotated[str, StringConstraints(pattern=r"^\w{1,32}$")]

auth = JwtAuth(key=KEY, algorithms=["HS256"], issuer="alarms")
permissions = Permissions()
hub = Hub(
    os.environ.get("ALARMS_LAYER"),
    # Who was away for a moment gets the alarms of that moment.
    rooms={"alarms:*": RoomPolicy(history=100)},
    auth=auth,
    permissions=permissions,
    admission=Admission(max_per_principal=20, messages_per_s=20, tell_browsers=True),
)
app = FastAPI(title="Alarms", lifespan=hub.lifespan)
add_page(app, Path(__file__).parent / "page")
app.mount("/roomful", browser.app)  # roomful.js, which the page imports


@permissions.join("alarms:{user_id}")
def own_alarms(principal: Principal, user_id: str) -> bool:
    return principal.id == user_id


@consumer_route(app, "/ws/alarms/{user_id}", hub=hub)
class Alarms(Consumer):
    """One page of a user. It only listens; that it may is the permission's business."""

    async def connect(self, user_id: str) -> None:
        await self.join(f"alarms:{user_id}")


class Login(BaseModel):
    user: UserId


class Alarm(BaseModel):
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


async def current_user(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> Principal:
    """The same tokens guard the API."""
    try:
        return await auth.verify(credentials.credentials)
    except NotAuthenticated as error:
        raise HTTPException(401, error.message, {"WWW-Authenticate": "Bearer"}) from None


@app.post("/login")
async def login(login: Login) -> dict[str, str]:
    """Stand in for a login: whoever says a name gets a token for it."""
    claims = {"sub": login.user, "iss": "alarms", "exp": time.time() + TOKEN_S}
    return {"token": jwt.encode(claims, KEY, algorithm="HS256")}


@app.post("/alarms/{user_id}", status_code=202)
async def raise_alarm(
    user_id: UserId, alarm: Alarm, user: Annotated[Principal, Depends(current_user)]
) -> dict[str, str]:
    """Raise an alarm at somebody; server code pushes without asking the permissions."""
    receipt = await hub.push(f"alarms:{user_id}", Event("alarm", {"by": user.id, "text": alarm.text}))
    return {"position": str(receipt.position)}
