"""An event loop with a clock of its own: timers fire in their order, and nobody waits for them."""

import asyncio
import selectors


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type] # its base is chosen by the platform
    """Where asyncio would wait for a timer, it moves the clock on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        events = super().select(0)
        if not events:
            self.now += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when nothing else can happen."""

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    @property
    def timers(self) -> list[asyncio.TimerHandle]:
        """Return the timers that are set and not cancelled."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined] # asyncio offers no other way
        return [timer for timer in scheduled if not timer.cancelled()]


def now() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


async def passes(count: int = 1) -> None:
    """Give the loop some passes, in which no time passes."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settled() -> None:
    """Let all that needs no time happen."""
    await passes(10)


async def after(seconds: float) -> None:
    """Let virtual time pass; refuse to wait in earnest."""
    assert isinstance(asyncio.get_running_loop(), VirtualLoop)
    await asyncio.sleep(seconds)


def other_tasks() -> set[asyncio.Task[object]]:
    """Return the tasks that run beside the caller's."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
