"""Calls that may wait for the broker or the result backend, kept off the loop."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from hive.pools.threads import Threads


class Network:
    """Runs blocking calls on a few threads, each with the context of the task that asks.

    Args:
        threads: how many calls may wait at once; more wait for their turn.
    """

    def __init__(self, threads: int = 8) -> None:
        self._threads = Threads("hive-network", threads)

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``function`` on a thread and return what it returns, or raise what it raises."""
        context = copy_context()
        call = partial(context.run, function, *args, **kwargs)
        return await asyncio.wrap_future(self._threads.submit(call))

    def close(self) -> None:
        """Take no more calls. A repeat does nothing."""
        self._threads.shutdown()
