"""Tasks that are parked on the broker, as an operator sees them: which, and for what they wait."""

from dataclasses import dataclass
from typing import Any

from hive.runtime.durable.task import AGENT, ANSWER
from hive.store.queue_values import ScheduledMessage
from hive.store.run_values import FAR_MS, Place
from hive.store.store import Store
from hive.transport import envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedTask:
    """A task that waits on the broker without a slot.

    Attributes:
        queue: of its message.
        task_id: its id; ``hive wake`` takes it. Empty if the message cannot be read.
        task: its name; empty likewise.
        agent: the agent it is for; empty: nobody's.
        waits_for: ``event``, ``answer`` (it asks about a step), ``time``, or ``agent`` (until that is awake).
        name: of the event, the step or the agent; empty: a time.
        until_ms: when it goes on by itself, on the broker's clock; None: never.
    """

    queue: str
    task_id: str
    task: str
    agent: str
    waits_for: str
    name: str
    until_ms: int | None


def parked_tasks(store: Store, queue: str, limit: int) -> list[ParkedTask]:
    """Return tasks that are parked in a queue, those that go on by themselves first.

    Raises:
        BrokerGoneError: no reply.
    """
    return [_read(store, queue, message) for message in store.parked(queue, limit)]


def _read(store: Store, queue: str, message: ScheduledMessage) -> ParkedTask:
    headers: dict[str, Any] = {}
    try:
        headers = envelope.read(message.payload).get("headers") or {}
    except envelope.UnreadableError:
        # Whoever claims it sets it aside.
        headers = {}
    task_id, agent = str(headers.get("id") or ""), str(headers.get(AGENT) or "")
    waits_for, name = _awaited(store.parked_run(task_id) if task_id else None, message, agent)
    return ParkedTask(
        queue=queue,
        task_id=task_id,
        task=str(headers.get("task") or ""),
        agent=agent,
        waits_for=waits_for,
        name=name,
        until_ms=None if message.due_ms >= FAR_MS else message.due_ms,
    )


def _awaited(place: Place | None, message: ScheduledMessage, agent: str) -> tuple[str, str]:
    """Return what a task waits for; a record of where it was parked before says nothing of now."""
    if place is None or (place.message_id, place.due_ms) != (message.message_id, message.due_ms):
        return "agent", agent
    if place.event.startswith(ANSWER):
        return "answer", place.event.removeprefix(ANSWER)
    return ("event", place.event) if place.event else ("time", "")
