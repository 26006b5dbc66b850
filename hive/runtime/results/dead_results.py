"""What those who wait for a task are told when it has become a dead letter.

Its result is a failure that names the letter, its errbacks are called, the chord it belongs to and the steps that follow
it in a chain fail, as if its body had raised. Every worker of the queue may do it: the broker hands each letter that
nobody has told of to one of them for half a minute, and to the next if that one dies meanwhile. A repeat changes nothing:
the result is the same, a chord counts each member once, and an errback's message is published under an id made from the
letter's, which the broker drops for the second time. (Only an errback that is called with the request runs again: it is
called here, by this process.)

A redrive takes the letter back: nobody is told of a letter that is gone, and what the redriven task returns replaces
the failure. What has been told cannot be taken back: errbacks have run, the chord has failed.
"""

import logging
from collections.abc import Sequence
from typing import Any

from celery.app.task import Context
from celery.exceptions import NotRegistered
from kombu.exceptions import OperationalError

from hive.deadletter.letter import Letter
from hive.deadletter.poison import Reason
from hive.errors import BrokerError, DeadLetteredError
from hive.runtime.calling.next_steps import fix_publishes
from hive.runtime.delivery.calls import UNDECODABLE, call_of
from hive.runtime.results.condemning import BY_TASK
from hive.store.condemned import Arrival
from hive.transport import envelope

logger = logging.getLogger(__name__)

#: Nobody waits for these: no id can be read from their bytes.
NAMELESS = frozenset({Reason.NOT_UTF8, Reason.NOT_JSON})


class DeadResults:
    """Ends the results of dead letters.

    Args:
        app: the application whose tasks they were.
        on_failed: told id and error of each, for the event of it.
    """

    def __init__(self, app: Any, on_failed: Any) -> None:
        self._app = app
        self._on_failed = on_failed

    def tell(self, queue: str, arrivals: Sequence[Arrival]) -> list[str]:
        """Tell all who wait for these letters.

        Returns:
            The ids of those letters that are dealt with; the others are to be told of later, as the result backend or the
            broker is away.
        """
        told = [arrival.id for arrival in arrivals if arrival.reason in BY_TASK | NAMELESS]
        others = [arrival.id for arrival in arrivals if arrival.reason not in BY_TASK | NAMELESS]
        if not others:
            return told
        letters = {stored.id: Letter.of(stored) for stored in self._app.access.store.dead_read(queue, others)}
        for id_ in others:
            letter = letters.get(id_)
            try:
                if letter is not None and _has_usable_id(letter):
                    self._tell_one(letter)
            except self._unreachable as error:
                logger.warning("who waits for dead letters of queue %s is told later: %s", queue, error)
                return told
            told.append(id_)
        return told

    @property
    def _unreachable(self) -> tuple[type[BaseException], ...]:
        known = getattr(self._app.backend, "connection_errors", ())
        return (BrokerError, OperationalError, *(error for error in known if error is not KeyError))

    def _tell_one(self, letter: Letter) -> None:
        error = _error(letter)
        try:
            self._fail(letter, error, _request(self._app, letter))
        except UNDECODABLE as broken:
            logger.warning("what follows dead letter %s cannot be read: %s", letter.stored.id, broken)
            self._fail(letter, error, Context(id=letter.task_id, delivery_info={}))
        self._on_failed(letter.task_id, error)

    def _fail(self, letter: Letter, error: Exception, request: Context) -> None:
        task = self._app.tasks.get(letter.task)
        backend = self._app.backend if task is None else task.backend
        stores = not request.ignore_result or (task is not None and task.store_errors_even_if_ignored)
        backend.mark_as_failure(letter.task_id, error, request=request, store_result=stores)


def _has_usable_id(letter: Letter) -> bool:
    return bool(letter.task_id) and letter.task_id.isprintable() and letter.task_id.isascii()


def _request(app: Any, letter: Letter) -> Context:
    """Return the request as its pool would have known it, without a fence: its deliveries have ended."""
    message = envelope.read(letter.stored.payload)
    properties = message["properties"]
    unreadable = letter.stored.reason in {Reason.UNDECODABLE, Reason.TOO_DEEP}
    args, kwargs, embed = ((), {}, {}) if unreadable else call_of(app, message)
    request = Context(
        letter.headers,
        args=args,
        kwargs=kwargs,
        correlation_id=properties.get("correlation_id"),
        reply_to=properties.get("reply_to"),
        delivery_info={"routing_key": letter.stored.queue},
        **{name: embed.get(name) for name in ("callbacks", "errbacks", "chain", "chord")},
    )
    fix_publishes(request.errbacks or (), f"dead:{letter.stored.id}")
    return request


def _error(letter: Letter) -> Exception:
    stored = letter.stored
    if stored.reason == Reason.UNKNOWN_TASK:
        return NotRegistered(letter.task)
    if stored.reason == Reason.WRONG_ARGUMENTS:
        return TypeError(stored.cause)
    return DeadLetteredError(stored.id, stored.queue, stored.reason, stored.cause)
