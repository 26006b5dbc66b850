"""What a process opens once for all its tasks: HTTP clients, database pools, models."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from hive.errors import HiveError

#: An async generator function that opens, yields what it opened by name (or nothing), and closes.
Hook = Callable[[Any], AsyncIterator[Mapping[str, Any] | None]]


class LifespanError(HiveError):
    """A shared resource was asked for that nobody has opened in this process."""

    def __init__(self, name: str, opened: Mapping[str, Any]) -> None:
        self.name = name
        known = ", ".join(sorted(opened)) or "nothing"
        super().__init__(
            f"no lifespan hook of this process has opened {name!r} (open: {known}): yield it from a function marked "
            "@app.lifespan, and ask for it only in tasks"
        )


class Lifespan:
    """The lifespan hooks of an application, and what they opened in this process.

    Example:
        >>> @app.lifespan
        ... async def clients(app):
        ...     async with httpx.AsyncClient() as http:
        ...         yield {"http": http}
        >>> @app.task
        ... async def fetch(url):
        ...     return (await app.lifespan["http"].get(url)).text

    Hooks are opened in the order of their declaration, on the event loop that runs the tasks, before the first
    coroutine task of a process; they are closed in reverse when the process ends well.

    Args:
        app: handed to each hook.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._hooks: list[Hook] = []
        self._opened: dict[str, Any] = {}
        self._stack: AsyncExitStack | None = None
        self._opening = asyncio.Lock()
        self._pid = os.getpid()

    def __call__(self, hook: Hook) -> Hook:
        """Declare ``hook``; use it as a decorator."""
        self._hooks.append(hook)
        return hook

    def __getitem__(self, name: str) -> Any:
        """Return what a hook yielded under ``name``.

        Raises:
            LifespanError: nothing of that name is open in this process.
        """
        try:
            return self._opened[name]
        except KeyError:
            raise LifespanError(name, self._opened) from None

    async def open(self) -> None:
        """Open everything, on the loop that will use it. A repeat does nothing.

        Raises:
            Exception: what a hook raised; what was opened before is closed again.
        """
        if self._pid != os.getpid():
            # What a parent opened belongs to the parent's loop.
            self._pid, self._stack, self._opening, self._opened = os.getpid(), None, asyncio.Lock(), {}
        async with self._opening:
            if self._stack is None:
                self._stack = await self._open_hooks()

    async def _open_hooks(self) -> AsyncExitStack:
        async with AsyncExitStack() as stack:
            for hook in self._hooks:
                found = await stack.enter_async_context(asynccontextmanager(hook)(self._app))
                self._opened.update(found or {})
            return stack.pop_all()

    async def close(self) -> None:
        """Close everything in reverse. A repeat does nothing."""
        stack, self._stack = self._stack, None
        if stack is not None:
            try:
                await stack.aclose()
            finally:
                self._opened.clear()
