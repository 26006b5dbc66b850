"""Backpressure: what a call does when its queue holds as many messages as it may.

A bound counts what waits: ready, scheduled and suspect messages. What workers hold does not count, because it is being
worked on and is bounded by their prefetch; so a worker that dies or hands back may raise a queue above its bound by what
it held. Only calls are refused: retries, redeliveries, redriven letters and what follows from a task (the next step of a
chain, callbacks, a chord's body) were accepted before, or follow from what was. A group is published call by call, so a
refusal may come in its middle. In a batch nobody waits: its error says which calls found no room, and all others are
published. Stock producers know nothing of bounds, and do not keep to them.

What is shed is a dead letter: it can be redriven, and whoever waits for its result is told by the next worker of the queue.

Every process that publishes must have the same bounds in its settings: they are the publisher's to keep.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hive.agents.registry import Registry
from hive.clock import Clock
from hive.errors import QueueFull
from hive.settings.model import Settings
from hive.settings.parts import QueueBound
from hive.store.guard import Bound, Guard
from hive.transport.envelope import GUARD

#: Option of a call that says whether it may wait here; a coroutine waits for itself.
WAITS_OPTION = "hive_waits"

#: Seconds between two looks for room: the first, and the longest.
FIRST_LOOK_S, LONGEST_LOOK_S = 0.01, 0.25


def bounds_of(settings: Settings, types: Registry) -> dict[str, Bound]:
    """Return the bounds by queue: those of agent types, and those of the settings, which win."""
    bounds = {agent.queue: _bound(agent.bound) for agent in types.values() if agent.bound is not None}
    return bounds | {queue: _bound(given) for queue, given in settings.backpressure.queues.items()}


def guard_by_bound(bounds: Mapping[str, Bound], queue: Any, options: dict[str, Any]) -> None:
    """Put the bound of the queue that a call is routed to beside what else guards it, if there is one."""
    bound = bounds.get(queue if isinstance(queue, str) else getattr(queue, "name", ""))
    if bound is not None:
        options[GUARD] = replace(options.get(GUARD) or Guard(), bound=bound)


def _bound(given: QueueBound) -> Bound:
    wait_s = given.wait_s if given.when_full == "wait" else 0.0
    return Bound(max_length=given.max_length, sheds=given.when_full == "shed", wait_s=wait_s)


class Backpressure:
    """Lets callers wait for room in a queue.

    Args:
        bounds: by queue.
        clock: measures how long they wait.
    """

    def __init__(self, bounds: Mapping[str, Bound], clock: Clock) -> None:
        self.bounds = bounds
        self._clock = clock

    def send(self, send: Callable[..., Any], **options: Any) -> Any:
        """Publish, and again while there is no room and the bound lets the caller wait.

        Raises:
            QueueFull: there was no room, for as long as the bound lets callers wait.
        """
        if not options.pop(WAITS_OPTION, True):
            return send(**options)
        patience = _Patience(self._clock)
        while True:
            try:
                # Celery changes some of what it is given.
                return send(**dict(options))
            except QueueFull as full:
                threading.Event().wait(patience.next_s(full))

    async def asend(self, send: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a coroutine function that publishes, and again as :meth:`send` does, without holding a thread meanwhile.

        Raises:
            QueueFull: as :meth:`send`.
        """
        if not self.bounds:
            return await send(*args, **options)
        patience = _Patience(self._clock)
        while True:
            try:
                return await send(*args, **{**options, WAITS_OPTION: False})
            except QueueFull as full:
                await asyncio.sleep(patience.next_s(full))


class _Patience:
    """How long one call waits, in growing steps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s = clock.monotonic_s()
        self._look_s = FIRST_LOOK_S

    def next_s(self, full: QueueFull) -> float:
        """Return the seconds until the next look; raises what it was given if there is to be none."""
        left_s = self._since_s + full.wait_s - self._clock.monotonic_s()
        if left_s <= 0:
            raise full
        look_s, self._look_s = self._look_s, min(self._look_s * 2, LONGEST_LOOK_S)
        return min(look_s, left_s)
