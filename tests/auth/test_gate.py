"""The gate's own time: whoever may have to be waited for is waited for within a bound."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from roomful.auth import Admission, JwtAuth
from roomful.auth.gate import Gate
from roomful.core.access import Principal
from roomful.core.errors import Refuse
from tests.auth.keys import SECRET, token
from tests.auth.scopes import scope


class Silent:
    """Never answers."""

    async def authenticate(self, _scope: Any) -> Principal | None:
        await asyncio.Event().wait()
        return None


async def test_one_who_answers_at_once_does_not_free_the_others_of_their_deadline() -> None:
    """A bound holds as soon as one of several may be slow."""
    rules = Admission(authentication_timeout_s=0.01)
    gate = Gate(auth=[JwtAuth(key=SECRET, algorithms=["HS256"]), Silent()], rules=rules)

    visit = await gate.admit(scope(("authorization", f"Bearer {token()}")))
    with pytest.raises(Refuse) as refused:
        await gate.admit(scope())

    assert visit is not None
    assert visit.principal.id == "ada"
    assert refused.value.status == 503


@pytest.mark.parametrize("how", ["authenticate", "_verify"])
async def test_subclass_that_waits_is_waited_for_within_the_bound(how: str) -> None:
    """That `JwtAuth` answers at once says nothing of what a subclass asks besides."""

    async def wait(*_: object) -> None:
        await asyncio.Event().wait()

    asking = type("Asking", (JwtAuth,), {how: wait})
    gate = Gate(
        auth=[asking(key=SECRET, algorithms=["HS256"])], rules=Admission(authentication_timeout_s=0.01)
    )

    with pytest.raises(Refuse) as refused:
        async with asyncio.timeout(5):
            await gate.admit(scope(("authorization", f"Bearer {token()}")))

    assert refused.value.status == 503
