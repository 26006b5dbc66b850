"""A breaker in the user's hands: around a block, a function or a coroutine; and as the guard of a task."""

import asyncio
import functools
import inspect
import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from hive.errors import BreakerOpenError
from hive.guards.circuit import BreakerStatus, Circuit, Permit, Probe
from hive.guards.circuits import Circuits
from hive.guards.guard import RUN, Answer, GuardedCall, Verdict
from hive.resilience.breaker import CallOutcome, outcome_of

F = TypeVar("F", bound=Callable[..., Any])

#: What a call says about its dependency, by what it raised.
Judge = Callable[[BaseException | None], CallOutcome]

#: Waiting tasks come back within this part of the open time after its end, so that they do not all come at once.
SPREAD = 0.1


def judged_by(counts_as_failure: Callable[[BaseException], bool]) -> Judge:
    """Return a judge that asks a predicate; what it does not count says nothing about the dependency."""

    def judge(error: BaseException | None) -> CallOutcome:
        if error is None:
            return CallOutcome.ANSWERED
        return CallOutcome.FAILED if counts_as_failure(error) else CallOutcome.NEITHER

    return judge


class Breaker:
    """The circuit breaker of a dependency, shared by all processes of the fleet.

    A context manager, plain and asynchronous, and a decorator of functions and coroutines; one object may be entered by
    any number of threads and tasks at once.

    Args:
        name: the dependency.
        circuits: the breakers of this process.
        judge: says what counts as a failure; by default network, timeout, rate limit, resource and dependency do.

    Example:
        >>> with app.breaker("openai"):  # doctest: +SKIP
        ...     client.responses.create(...)
    """

    def __init__(self, name: str, circuits: Circuits, judge: Judge = outcome_of) -> None:
        self.name = name
        self._circuits = circuits
        self._judge = judge

    @property
    def status(self) -> BreakerStatus:
        """Where it stands, as this process knows it."""
        return self._circuits.circuit(self.name).status

    def __enter__(self) -> Self:
        """Enter, or raise ``BreakerOpenError``."""
        circuit = self._circuits.circuit(self.name)
        self._note(circuit.allow(), circuit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        permit, circuit = self._leave()
        circuit.end(permit, self._judge(error) if error is not None else CallOutcome.ANSWERED)

    async def __aenter__(self) -> Self:
        """Enter, or raise ``BreakerOpenError``; where the broker must be asked, the loop does not wait."""
        circuit = self._circuits.circuit(self.name)
        permit: Permit = circuit.passes()
        if not permit:
            permit = await asyncio.to_thread(circuit.allow)
        self._note(permit, circuit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        permit, circuit = self._leave()
        outcome = self._judge(error) if error is not None else CallOutcome.ANSWERED
        if isinstance(permit, Probe):
            await asyncio.shield(asyncio.to_thread(circuit.end, permit, outcome))
        else:
            circuit.end(permit, outcome)

    def __call__(self, function: F) -> F:
        """Return a function or coroutine function that runs within the breaker."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                async with self:
                    return await function(*args, **kwargs)

            return awaited  # type: ignore[return-value]

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return called  # type: ignore[return-value]

    def _note(self, permit: Permit, circuit: Circuit) -> None:
        entered = self._circuits.entered
        entered.set((permit, circuit, entered.get()))

    def _leave(self) -> tuple[Permit, Circuit]:
        permit, circuit, around = self._circuits.entered.get()
        self._circuits.entered.set(around)
        return permit, circuit


class BreakerGuard:
    """Asks the breaker of a dependency before a task takes a slot, and tells it how the task ended.

    Args:
        dependency: its name.
        circuits: the breakers of the worker's main process.
        judge: says what counts as a failure.
        rng: spreads the tasks that wait.
    """

    def __init__(
        self,
        dependency: str,
        circuits: Circuits,
        judge: Judge = outcome_of,
        rng: random.Random | None = None,
    ) -> None:
        self._dependency = dependency
        self._circuits = circuits
        self._judge = judge
        self._rng = rng or random.SystemRandom()
        self._permits: dict[int, Permit] = {}

    @property
    def name(self) -> str:
        """``breaker:`` and the dependency."""
        return f"breaker:{self._dependency}"

    def ask(self, call: GuardedCall) -> Verdict:
        """Let the task run if the breaker is closed or has a probe for it; else refuse it until the probe time."""
        circuit = self._circuits.circuit(self._dependency)
        try:
            # The call itself names its permit: its passage keeps it until one of the methods below is called.
            self._permits[id(call)] = circuit.allow()
        except BreakerOpenError as error:
            spread_s = self._rng.uniform(0, max(SPREAD * circuit.rules.open_s, error.retry_after_s * SPREAD))
            due_ms = circuit.due_ms(error.retry_after_s + spread_s)
            return Verdict(answer=Answer.REFUSE, guard=self.name, reason=error.reason, due_ms=due_ms)
        return RUN

    def release(self, call: GuardedCall) -> None:
        """Give back the probe of a task that did not run. A repeat does nothing."""
        self._end(call, CallOutcome.NEITHER)

    def ended(self, call: GuardedCall, error: BaseException | None) -> None:
        """Count how the task ended."""
        self._end(call, self._judge(error))

    def _end(self, call: GuardedCall, outcome: CallOutcome) -> None:
        permit = self._permits.pop(id(call), None)
        if permit is not None:
            self._circuits.circuit(self._dependency).end(permit, outcome)
