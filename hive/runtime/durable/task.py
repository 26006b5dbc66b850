"""Durable tasks: what they declare, and how what they say is written beside their message.

A task declared ``durable=True`` does its work in steps. A step that ended is not run again, whatever dies: its result
stands on the broker, beside the message, before the next one begins. A step that a dead worker had begun is *unknown*:
it may have done all, half or nothing. What follows is declared:

=========== ==============================================================================================
on_unknown  what happens to a step that was in flight when its worker died
=========== ==============================================================================================
retry       it runs again; ``ctx.idempotency_key`` is the same as the first time, so that a callee can tell
ask         the task parks until an operator answers: ``hive wake TASK --answer retry|fail``, or a result
fail        :class:`StepUnknownError` is raised in its place
=========== ==============================================================================================

A step that raises has ended, without a result: it runs again when the task is retried. Only the holder of the delivery
may begin or end steps; anybody else gets :class:`celery.exceptions.Ignore`, as everywhere.

The body runs from its beginning after a crash, a wait or a retry, so it has to come to the same steps again: what
depends on time, chance or the world belongs into a step. Steps with the same name are told apart by their order.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from celery.exceptions import Ignore
from kombu.serialization import dumps, loads

from hive.errors import HiveError, InputError, MessageTooLargeError

OnUnknown = Literal["retry", "ask", "fail"]

#: Header of a call for an agent, which stays with it over retries.
AGENT = "hive_agent"

#: Event under which the answer to an unknown step is awaited; the step's name follows.
ANSWER = "answer:"

#: Attribute of the request of a running task: its run.
RUN = "hive_run"


class Parked(Ignore):
    """The task waits on the broker, without a slot; its body runs again when its time or its signal has come.

    Let it pass: the delivery has ended with it, and what the body does afterwards is refused.
    """


class DurableError(HiveError):
    """What a durable task asked for cannot be done here."""


class StepUnknownError(DurableError):
    """A step was in flight when its worker died, and nobody knows what it did.

    Attributes:
        task_id: of the task.
        step: its name.
    """

    def __init__(self, task_id: str, step: str) -> None:
        self.task_id, self.step = task_id, step
        super().__init__(task_id, step)

    def __str__(self) -> str:
        return f"step {self.step!r} of task {self.task_id} was in flight when its worker died: what it did is unknown"


class EventTimeoutError(DurableError, TimeoutError):
    """No signal came in the time that a task was to wait for it.

    Attributes:
        event: that was waited for.
    """

    def __init__(self, event: str) -> None:
        self.event = event
        super().__init__(event)

    def __str__(self) -> str:
        return f"no signal {self.event!r} came in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """What a task declares as ``@app.task(durable=Durable(on_unknown="ask"))``; ``durable=True`` is ``Durable()``.

    Attributes:
        on_unknown: what follows for a step that was in flight when its worker died; a step may say otherwise.

    Raises:
        InputError: there is no such policy.
    """

    on_unknown: OnUnknown = "retry"

    def __post_init__(self) -> None:
        """Check the policy."""
        if self.on_unknown not in get_args(OnUnknown):
            raise InputError(f"Durable(on_unknown={self.on_unknown!r}): 'retry', 'ask' or 'fail' is meant")

    @classmethod
    def of(cls, declared: Any, task: str) -> "Durable | None":
        """Return what is declared as ``durable``; None: nothing.

        Raises:
            TypeError: it is neither a truth value nor a :class:`Durable`.
        """
        if isinstance(declared, cls):
            return declared
        if declared is None or isinstance(declared, bool):
            return cls() if declared else None
        raise TypeError(f"task {task!r}: durable={declared!r}: write True, or Durable(on_unknown=...)")


class Written:
    """Writes what steps return and signals carry, in the application's own serializer for results.

    Args:
        serializer: kombu's name of it.
        max_bytes: longest.
    """

    def __init__(self, serializer: str, max_bytes: int) -> None:
        self._serializer, self._max_bytes = serializer, max_bytes

    def encode(self, value: Any, where: str) -> bytes:
        """Return a value as it stands on the broker.

        Raises:
            kombu.exceptions.EncodeError: the serializer cannot express it.
            MessageTooLargeError: it is too long.
        """
        content_type, encoding, payload = dumps(value, serializer=self._serializer)
        data = payload.encode() if isinstance(payload, str) else bytes(payload)
        if len(data) > self._max_bytes:
            raise MessageTooLargeError(len(data), self._max_bytes, where)
        return f"{content_type};{encoding}\n".encode() + data

    def decode(self, written: bytes) -> Any:
        """Return the value again; what is of another content type than ours is refused by kombu."""
        head, _, data = written.partition(b"\n")
        content_type, _, encoding = head.decode().partition(";")
        own_type = dumps(None, serializer=self._serializer)[0]
        return loads(data, content_type, encoding, accept={own_type})
