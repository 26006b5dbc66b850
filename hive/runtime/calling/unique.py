"""Unique tasks and idempotency keys: a second call within a time is handed the first one's result.

Who holds a key is decided on the broker, in the step that publishes. A key belongs to one task of one queue: the same call
sent to another queue is another one. It is held for ``within_s``, from the publish or, if that is later, from the due time
of an eta; with ``until="done"`` at most that long, and no longer than the task:

======================================= =============================== ======================================
what happens to the task                ``until="time"``                ``until="done"``
======================================= =============================== ======================================
succeeds, or fails for good             the key is held on              the key is free
is retried                              held on                         held on, ``within_s`` from the next attempt
its worker dies, it is delivered again  held on                         held on
becomes a dead letter                   held on                         free; held again by a redrive, if no other has it
is revoked before it begins, or expires free                            free
its queue is purged                     free                            free
a stock worker runs it                  held on                         held on until its time
======================================= =============================== ======================================

With ``acks_late=False`` a message ends when its task begins, and so does a key ``until="done"``.

A process that calls a task by a name it has no code for knows nothing of its ``unique``, and publishes; an
``idempotency_key`` it can give. Only calls are compared whose id hive chooses. What comes with an id of its own is
published always: a step of a chain, a member of a group or chord, whose result somebody waits for under that id; a retry;
a call with ``task_id=``.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from celery.utils import uuid
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps

from hive.errors import InputError
from hive.store.guard import Admission, Guard, Uniqueness
from hive.transport.envelope import GUARD

#: Header of a call that asked for a key: what stands for it on the broker, so that a revoke can give it back.
DIGEST_HEADER = "hive_unique"

#: Header with the caller's own key, which the running task sees.
KEY_HEADER = "idempotency_key"

#: Longest seconds a key is held with its task: what the broker knows of a message beside it is kept no longer.
DONE_MAX_S = 604_800.0

#: The arguments of ``send_task`` that may be given without their names, after the first three.
_POSITIONAL = ("countdown", "eta", "task_id", "producer", "connection", "router", "result_cls")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """Says of a task that calls with the same key are one call: ``@app.task(unique=Unique(within_s=60))``.

    Attributes:
        within_s: seconds a call holds its key, at most.
        key: makes the key of the call's arguments, which it is called with; none: all arguments are the key.
        until: ``time``: the key is held for all of that; ``done``: no longer than the task runs or waits.

    Raises:
        InputError: a time is not positive, or too long for ``until="done"``.
    """

    within_s: float = 3_600.0
    key: Callable[..., object] | None = None
    until: Literal["time", "done"] = "done"

    def __post_init__(self) -> None:
        """Check the relations."""
        if self.until not in {"time", "done"}:
            raise InputError(f"Unique(until={self.until!r}): 'time' or 'done' is meant")
        if self.within_s <= 0:
            raise InputError(f"Unique(within_s={self.within_s!r}) must be more than 0 s")
        if self.until == "done" and self.within_s > DONE_MAX_S:
            raise InputError(f"Unique(within_s={self.within_s!r}) must be at most {DONE_MAX_S:g} s with until='done'")

    def key_of(self, task: Any, args: Any, kwargs: Any) -> str:
        """Return the key of a call.

        Raises:
            InputError: its arguments are no JSON, so that they cannot be compared.
        """
        args, kwargs = args or (), kwargs or {}
        if self.key is not None:
            return str(self.key(*args, **kwargs))
        given = inspect.signature(task.run).bind(*args, **kwargs)
        given.apply_defaults()
        try:
            return str(dumps([list(given.args), given.kwargs], sort_keys=True))
        except (EncodeError, TypeError, ValueError) as error:
            raise InputError(
                f"the arguments of {task.name} cannot be compared: {error}; say Unique(key=...) what is to be"
            ) from error


class _Asking:
    """A call that asks for a key; its result becomes that of the task which holds it."""

    def __init__(self) -> None:
        self._twin: str | None = None
        self._result: Any = None

    def told(self, admission: Admission) -> None:
        """Take the broker's reply; in a batch it comes after the result was returned."""
        self._twin = admission.twin
        self._settle()

    def answered(self, result: Any) -> Any:
        """Return the result of the call."""
        self._result = result
        self._settle()
        return result

    def _settle(self) -> None:
        result = self._result
        if self._twin is None or result is None or result.id == self._twin:
            return
        # Nobody will ever announce a result under the id of a call that was not published.
        result.backend.remove_pending_result(result)
        result.id = self._twin


def asks_for_key(task: Any, options: dict[str, Any]) -> bool:
    """Whether a call has an idempotency key, or is of a task that is unique (None: it is not known here)."""
    return KEY_HEADER in options or getattr(task, "unique", None) is not None


def send_keyed(
    send: Callable[..., Any],
    task: Any,
    idempotency_s: float,
    name: str,
    args: Any,
    kwargs: Any,
    *more: Any,
    **options: Any,
) -> Any:
    """Publish a call that asks for a key, and return its result or that of the task which holds the key.

    Args:
        send: publishes, as ``Celery.send_task`` does.
        task: the task, if it is known here.
        idempotency_s: seconds a key is held that a caller gives to a task which is not unique.
        name: of the task.
        args: its arguments.
        kwargs: its keyword arguments.
        more: further arguments of ``send``.
        options: of the call.

    Raises:
        InputError: its arguments cannot be compared.
    """
    options.update(zip(_POSITIONAL, more, strict=False))
    given = options.pop(KEY_HEADER, None)
    unique: Unique | None = getattr(task, "unique", None)
    headers = options["headers"] = dict(options.get("headers") or {})
    if given is not None:
        headers[KEY_HEADER] = str(given)
    if options.get("task_id") or (given is None and unique is None):
        return send(name, args, kwargs, **options)
    terms = unique or Unique(within_s=idempotency_s, until="time")
    key = str(given) if given is not None else terms.key_of(task, args, kwargs)
    digest = blake2b(f"{name}\0{key}".encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
    asking, task_id = _Asking(), uuid()
    headers[DIGEST_HEADER] = digest
    wanted = Uniqueness(digest=digest, task_id=task_id, within_s=terms.within_s, until_done=terms.until == "done")
    options[GUARD] = Guard(uniqueness=wanted, tell=asking.told)
    return asking.answered(send(name, args, kwargs, **{**options, "task_id": task_id}))
