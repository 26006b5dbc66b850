"""A retry that finishes its delivery and publishes the next attempt in one step."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from celery.canvas import Signature

from hive.runtime.delivery.fence import Fence
from hive.store.store import Store
from hive.store.values import Following, Outcome, Outgoing, Source
from hive.transport.batch import gathering

_OUTCOME = {Following.STALE: Outcome.STALE, Following.ALREADY: Outcome.ALREADY}


#: Looks at the next attempt's message before it is published, and returns it or one that is due at another time.
Booking = Callable[[Outgoing], Outgoing]


class Retrying(Signature):
    """The next attempt of a task; publishing it finishes the present one.

    A signature that is a plain dict to everybody else. The outcome stands in :attr:`outcome` after it was published.
    """

    fence: Fence
    booking: Booking | None = None
    announce: Callable[[], None] | None = None
    outcome: Outcome = Outcome.DONE

    @classmethod
    def of(
        cls,
        signature: Signature,
        fence: Fence,
        booking: Booking | None = None,
        announce: Callable[[], None] | None = None,
    ) -> "Retrying":
        """Return the signature as one that presents ``fence``.

        Args:
            signature: of the next attempt.
            fence: of the present one's delivery.
            booking: may give the message another due time.
            announce: called just before it is published.
        """
        retrying = cls(signature, app=signature.app)
        retrying.fence, retrying.booking, retrying.announce = fence, booking, announce
        retrying._type = signature._type
        return retrying

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Publish the next attempt and finish the delivery, both or neither.

        Raises:
            BrokerGoneError: the broker stayed away for ten minutes; it may be repeated.
        """
        app = self.app
        with app.producer_pool.acquire(block=True) as producer:
            with gathering(producer) as gathered:
                result = super().apply_async(args, kwargs, producer=producer, **options)
            if self.announce is not None:
                self.announce()
            # Of several queues (a topic), the others go first: the last one ends the delivery.
            for message in gathered.messages[:-1]:
                self.outcome = app.access.present(self.fence, partial(self._follow, message))
            for message in gathered.messages[-1:] if self.outcome is Outcome.DONE else ():
                booked = self.booking(message) if self.booking else message
                self.outcome = app.access.present(self.fence, partial(self._publish, booked))
            gathered.send_commands()
        return result

    def _follow(self, message: Outgoing, store: Store) -> Outcome:
        options = self["options"]
        step = f"retry:{options.get('task_id')}:{options.get('retries')}"
        source = Source(consumer=self.fence.consumer, delivery=self.fence.delivery, message_id=self.fence.message)
        following = store.follow(source, replace(message, dedup_id=step))
        return _OUTCOME.get(following, Outcome.DONE)

    def _publish(self, message: Outgoing, store: Store) -> Outcome:
        return store.retry(self.fence.consumer, self.fence.delivery, message)
