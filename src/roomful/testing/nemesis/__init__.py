"""The nemesis: does to a server what networks, clients and machines do on bad days, and judges what came of it.

    async with ServerProcess(["roomful", "serve", "app:app", "--port", "0"]) as server:
        report = await torture(server, Plan(seed=7, deliveries=50_000, kills=2))
    report.assert_clean(at_least=50_000)

The application mounts `Subject` at `/nemesis/{rooms}`, on a hub with `POLICIES` and `LIMITS`, or others as unkind.
Clients are cut, stall, resume, come and go; handlers raise and hang; the server is killed and started again. The same
plan does the same, as far as one machine can repeat what many do at once.
"""

from .plan import Act, Ending, Killing, Plan, Step, Visit
from .report import Report
from .server import Server, ServerProcess
from .subject import LIMITS, POLICIES, Subject
from .torture import torture

__all__ = (
    "LIMITS",
    "POLICIES",
    "Act",
    "Ending",
    "Killing",
    "Plan",
    "Report",
    "Server",
    "ServerProcess",
    "Step",
    "Subject",
    "Visit",
    "torture",
)
