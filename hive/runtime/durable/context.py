"""What a durable task's body is handed: steps and waits, plain for functions and awaitable for coroutines."""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from celery.exceptions import Ignore

from hive.runtime.durable.direct_run import DirectRun, Step
from hive.runtime.durable.run import Run
from hive.runtime.durable.task import DurableError, OnUnknown

_step: ContextVar[Step | None] = ContextVar("hive_step", default=None)


class _Context:
    """What both have.

    Args:
        app: the application.
        run: of the task.
    """

    def __init__(self, app: Any, run: Run | DirectRun) -> None:
        self._app, self._run = app, run

    @property
    def idempotency_key(self) -> str | None:
        """What the running step hands to whatever it calls: the same for every time it runs. None outside of steps."""
        step = _step.get()
        return None if step is None else step.key

    @staticmethod
    def _require_outside() -> None:
        """Let nothing wait within a step, which would be unknown when the body comes back.

        Raises:
            DurableError: it would.
        """
        step = _step.get()
        if step is not None:
            raise DurableError(f"step {step.name!r} cannot wait on the broker: sleep and wait_for stand between steps")


class DurableContext(_Context):
    """Steps and waits of a task that is a function."""

    def step(
        self, name: str, function: Callable[..., Any], *args: Any, on_unknown: OnUnknown | None = None, **kwargs: Any
    ) -> Any:
        """Call a function once and keep what it returns; or return what it returned before.

        Args:
            name: of the step; several of the same name are told apart by their order.
            function: what it does.
            args: for it.
            on_unknown: what follows if it was in flight when its worker died; none: what the task declares.
            kwargs: for the function.

        Returns:
            What the function returned, as the application's serializer for results gives it back.

        Raises:
            Exception: what the function raised; it runs again when the task is retried.
            StepUnknownError: it was in flight when its worker died, and the policy is to fail.
            celery.exceptions.Ignore: the task is parked, or is another worker's now. Let it pass.
        """
        step = self._run.begin(self._run.named(name), on_unknown)
        if step.is_done:
            return step.value
        mark = _step.set(step)
        try:
            value = function(*args, **kwargs)
            _require_value(name, value)
        except Ignore:
            raise
        except Exception:
            self._run.failed(step)
            raise
        finally:
            _step.reset(mark)
        return self._run.end(step, value)

    def sleep(self, *, until: datetime | None = None, for_s: float | None = None) -> None:
        """Wait on the broker, without a slot, until a time or for some seconds; the first call fixes the time.

        Args:
            until: a time with a zone, on the broker's clock.
            for_s: or seconds.

        Raises:
            Parked: the time is not over; the body runs again when it is. Let it pass.
            InputError: not one of both is given.
        """
        self._require_outside()
        self._run.sleep(until=until, for_s=for_s)

    def wait_for(self, event: str, timeout_s: float | None = None) -> Any:
        """Wait on the broker, without a slot, for a signal to this task or its agent; return what came with it.

        A signal that came before is there. Each is taken by one wait.

        Args:
            event: its name.
            timeout_s: longest seconds from the first call; none: without an end.

        Raises:
            Parked: none has come; the body runs again when one does. Let it pass.
            EventTimeoutError: none came in time.
        """
        self._require_outside()
        return self._run.wait_for(event, timeout_s)


class AsyncDurableContext(_Context):
    """Steps and waits of a task that is a coroutine function; none of them blocks its event loop."""

    async def step(
        self, name: str, function: Callable[..., Any], *args: Any, on_unknown: OnUnknown | None = None, **kwargs: Any
    ) -> Any:
        """Call and await a function once and keep what it returns: see :meth:`DurableContext.step`.

        Steps may run side by side. A plain function is called on the event loop.
        """
        named = self._run.named(name)
        step = await self._app.acall(self._run.begin, named, on_unknown)
        if step.is_done:
            return step.value
        mark = _step.set(step)
        try:
            value = function(*args, **kwargs)
            if inspect.isawaitable(value):
                value = await value
        except Ignore:
            raise
        except Exception:
            await self._app.acall(self._run.failed, step)
            raise
        finally:
            _step.reset(mark)
        return await self._app.acall(self._run.end, step, value)

    async def sleep(self, *, until: datetime | None = None, for_s: float | None = None) -> None:
        """Wait on the broker: see :meth:`DurableContext.sleep`."""
        self._require_outside()
        await self._app.acall(self._run.sleep, until=until, for_s=for_s)

    async def wait_for(self, event: str, timeout_s: float | None = None) -> Any:
        """Wait on the broker for a signal: see :meth:`DurableContext.wait_for`."""
        self._require_outside()
        return await self._app.acall(self._run.wait_for, event, timeout_s)


def context_of(task: Any, run: Run | DirectRun) -> DurableContext | AsyncDurableContext:
    """Return the context that fits a task's body."""
    kind = AsyncDurableContext if inspect.iscoroutinefunction(task.run) else DurableContext
    return kind(task.app, run)


def _require_value(name: str, value: Any) -> None:
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError(f"step {name!r}: a coroutine function can only be a step of an `async def` task")
