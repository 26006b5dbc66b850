"""Limits as an application declares them: of a task, around a block, around a function.

A task over a limit waits on the broker (:mod:`hive.runtime.guarding.admission`); a block or a function waits where it is, as long
as it says it may. Both stand in the same line.
"""

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

from hive.clock import Clock, SystemClock
from hive.errors import InputError, LimitedError
from hive.guards.guard import RUN, Answer, Guard, GuardedCall, Verdict
from hive.guards.limits import Limiter, Reservation, WhenAway
from hive.resilience.limiter import Limit, Unit
from hive.runtime.calling.arguments import named
from hive.store.limiting import Refused

F = TypeVar("F", bound=Callable[..., Any])

#: Header beside a running task, never on the broker: what was reserved for it.
RESERVED = "hive_reserved"

#: What a reservation counts in money is settled in the unit the limit was declared in, so only these two are told.
Used = Mapping[Unit, float]


class _App(Protocol):
    settings: Any
    access: Any
    current_worker_task: Any


class Limits:
    """``app.limits``: what the tasks and functions of an application may use.

    Args:
        app: the application.
        clock: for waits.
    """

    def __init__(self, app: _App, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._limiter: Limiter | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._app,)

    @property
    def limiter(self) -> Limiter:
        """What reserves for this process."""
        if self._limiter is None:
            chosen = self._app.settings.limits
            self._limiter = Limiter(
                lambda: self._app.access.store,
                clock=self._clock,
                when_away=WhenAway(chosen.when_away),
                local_fraction=chosen.local_fraction,
            )
        return self._limiter

    def hold(
        self,
        *limits: Limit,
        wait_s: float | None = None,
        tokens: int | None = None,
        money: float | None = None,
        **fields: Any,
    ) -> "Hold":
        """Return what reserves for a block: ``with app.limits.hold(...) as held`` or ``async with``.

        Args:
            limits: all of which must have room.
            wait_s: longest seconds to wait for room; ``None``: as long as it takes; 0: not at all.
            tokens: expected to be used, instead of the limits' own estimate.
            money: likewise.
            fields: what the key templates ask for.

        Example:
            >>> with app.limits.hold(Limit.tokens(10_000, per_s=1, key="{tenant}", estimate=500), tenant="t7") as held:
            ...     answer = ask_model()
            ...     held.settle(tokens=answer.total_tokens)
        """
        return Hold(self.limiter, limits, fields, _used(tokens, money), wait_s, self._clock)

    def limited(self, *limits: Limit, wait_s: float | None = None) -> Callable[[F], F]:
        """Return a decorator that reserves for each call of a function or coroutine function.

        Key templates and estimates see its arguments by name. What it reserves counts as used.

        Args:
            limits: all of which must have room.
            wait_s: longest seconds to wait for room; ``None``: as long as it takes.
        """

        def decorate(function: F) -> F:
            signature = inspect.signature(function)

            def held(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hold:
                return Hold(self.limiter, limits, named(signature, args, kwargs), {}, wait_s, self._clock)

            @functools.wraps(function)
            async def waiting(*args: Any, **kwargs: Any) -> Any:
                async with held(args, kwargs):
                    return await function(*args, **kwargs)

            @functools.wraps(function)
            def blocking(*args: Any, **kwargs: Any) -> Any:
                with held(args, kwargs):
                    return function(*args, **kwargs)

            wrapped: Any = waiting if inspect.iscoroutinefunction(function) else blocking
            chosen: F = wrapped
            return chosen

        return decorate

    def settle(self, *, tokens: int | None = None, money: float | None = None) -> None:
        """Say, in a task that declares limits, what it has used; what is not told counts as estimated.

        The first time counts. Outside such a task nothing happens.
        """
        request = getattr(self._app.current_worker_task, "request", None)
        reserved = getattr(request, RESERVED, None)
        if reserved:
            setattr(request, RESERVED, None)
            self.limiter.settle(Reservation.unpack(reserved), _used(tokens, money))


class Hold:
    """One reservation, for the length of a block.

    Args:
        limiter: reserves.
        limits: of which.
        fields: of the call.
        estimates: instead of the limits' own.
        wait_s: longest seconds to wait; ``None``: as long as it takes.
        clock: for the wait.
    """

    def __init__(
        self,
        limiter: Limiter,
        limits: Sequence[Limit],
        fields: Mapping[str, Any],
        estimates: Used,
        wait_s: float | None,
        clock: Clock,
    ) -> None:
        self._limiter, self._limits, self._fields, self._estimates = limiter, limits, fields, estimates
        self._ends_s = None if wait_s is None else clock.monotonic_s() + wait_s
        self._clock = clock
        self._who: str | None = None
        self._reservation: Reservation | None = None

    def settle(self, *, tokens: int | None = None, money: float | None = None) -> None:
        """Say what was used; the first time counts, and what is not told counts as estimated."""
        if self._reservation is not None:
            self._limiter.settle(self._reservation, _used(tokens, money))

    def __enter__(self) -> Self:
        while (wait_s := self._try()) is not None:
            threading.Event().wait(wait_s)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    async def __aenter__(self) -> Self:
        while (wait_s := await asyncio.to_thread(self._try)) is not None:
            await asyncio.sleep(wait_s)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._end)

    def _try(self) -> float | None:
        """Reserve, or return how many seconds to wait before the next try.

        Raises:
            LimitedError: that would be longer than it may wait.
        """
        self._who = self._who or self._limiter.new_name()
        answer = self._limiter.reserve(self._limits, self._fields, who=self._who, estimates=self._estimates)
        if isinstance(answer, Reservation):
            self._reservation = answer
            return None
        wait_s = max(answer.again_ms - answer.now_ms, 1) / 1000
        if self._ends_s is not None and self._clock.monotonic_s() + wait_s > self._ends_s:
            raise LimitedError(answer.name, wait_s)
        return wait_s

    def _end(self) -> None:
        if self._reservation is not None:
            self._limiter.release(self._reservation)


class TaskLimits:
    """The limits a task declares, as its guard: it reserves before a slot is taken, and gives places back at the end.

    Args:
        limits: returns those of the application.
        task: the task.
    """

    name = "limit"

    def __init__(self, limits: Limits, task: Any) -> None:
        self._limits = limits
        self._declared: tuple[Limit, ...] = (*task.limits, *exclusive(task))
        self._signature = inspect.signature(task.run)
        self._held: dict[int, Reservation] = {}

    def ask(self, call: GuardedCall) -> Verdict:
        """Reserve what the task needs, or say when its turn comes."""
        # A retry may ask, here or elsewhere, before its last attempt was told of as ended: each gives back its own.
        who = f"{call.id}:{call.retries}"
        try:
            answer = self._limits.limiter.reserve(self._declared, self._fields(call), who=who, holder=call.holder)
        except InputError as error:
            return Verdict(answer=Answer.REFUSE, guard=self.name, reason=str(error))
        if isinstance(answer, Refused):
            reason = f"the limit {answer.name} has no room"
            return Verdict(answer=Answer.WAIT, guard=self.name, reason=reason, due_ms=answer.again_ms)
        # The call itself names what it holds: its passage keeps it until one of the methods below is called.
        self._held[id(call)] = answer
        if isinstance(call.headers, dict):
            call.headers[RESERVED] = answer.pack()
        return RUN

    def release(self, call: GuardedCall) -> None:
        """Give places back; what was reserved of windows stays counted, as nobody knows whether the task ran."""
        reservation = self._held.pop(id(call), None)
        if reservation is not None:
            self._limits.limiter.release(reservation)

    def ended(self, call: GuardedCall, error: BaseException | None) -> None:  # noqa: ARG002 - however it ended
        """Give places back."""
        self.release(call)

    def _fields(self, call: GuardedCall) -> dict[str, Any]:
        args, kwargs = call.arguments()
        return {**call.headers, "task": call.task, **named(self._signature, args, kwargs)}


def limits_of(app: Any, task: Any) -> tuple[Guard, ...]:
    """Return the guard of a task that declares limits or what it needs for itself alone, for admission."""
    is_limited = getattr(task, "limits", ()) or getattr(task, "exclusive", None)
    return (TaskLimits(app.limits, task),) if is_limited else ()


def exclusive(task: Any) -> tuple[Limit, ...]:
    """Return the limits that give a task what it declares as ``exclusive`` for itself alone: one place for each."""
    declared = getattr(task, "exclusive", None) or ()
    names = (declared,) if isinstance(declared, str) else declared
    return tuple(Limit.concurrency(1, key=f"exclusive:{name}") for name in names)


def _used(tokens: int | None, money: float | None) -> dict[Unit, float]:
    told = {Unit.TOKENS: tokens, Unit.MONEY: money}
    return {unit: amount for unit, amount in told.items() if amount is not None}
