import pytest

from roomful.testing.nemesis import Plan, ServerProcess, torture


@pytest.mark.asyncio
async def test_nothing_is_lost_in_silence() -> None:
    async with ServerProcess(["roomful", "serve", "app:app", "--port", "0"]) as server:
        report = await torture(server, Plan(seed=7, deliveries=3_000, clients=20, kills=1))

    report.assert_clean(at_least=2_000)
