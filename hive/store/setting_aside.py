"""What a consumer does with a delivery that cannot succeed here: set it aside, or let it wait for who knows its task."""

from collections.abc import Sequence

from hive.store.caller import Caller
from hive.store.condemned import Condemned, Postponed
from hive.store.keys import distinct
from hive.store.values import DeliveryId, Outcome, StoredResult

_POSTPONED = {1: Postponed.WAITS, 2: Postponed.OVER, 0: Postponed.ALREADY, -1: Postponed.STALE}


class SettingAside(Caller):
    """How deliveries end without a run, or with one whose failure is for good."""

    def dead_letter(
        self,
        consumer: str,
        id_: DeliveryId,
        *,
        reason: str,
        cause: str,
        message_id: str | None = None,
        traceback: str = "",
    ) -> Outcome:
        """Set one delivery aside at once; see :meth:`set_aside`."""
        condemned = Condemned(id=id_, reason=reason, cause=cause, message_id=message_id, traceback=traceback)
        return self.set_aside(consumer, [condemned])[0]

    def set_aside(self, consumer: str, condemned: Sequence[Condemned]) -> tuple[Outcome, ...]:
        """Set deliveries aside, for what can never succeed, in one round trip for each queue.

        Safe to repeat. What their causes hold that is not UTF-8 is written with backslashes.
        """
        outcomes: dict[DeliveryId, Outcome] = {}
        for queue in distinct([one.id.queue for one in condemned]):
            mine = [one for one in condemned if one.id.queue == queue]
            arguments = [part for one in mine for part in _described(one)]
            codes = self.call(
                "dead_letter", self._letter_keys(consumer, queue), self.now_argument(), consumer, queue, *arguments
            )
            outcomes.update(zip((one.id for one in mine), map(Outcome, codes), strict=True))
        return tuple(outcomes[one.id] for one in condemned)

    def set_aside_with_result(self, consumer: str, condemned: Condemned, result: StoredResult) -> Outcome:
        """Set a delivery aside, and write and announce its task's failure, both or neither.

        A repeat is ``ALREADY`` and writes nothing.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        queue = condemned.id.queue
        code = self.call(
            "dead_letter_with_result",
            [*self._letter_keys(consumer, queue), result.key],
            self.now_argument(),
            consumer,
            queue,
            *_described(condemned),
            result.value,
            result.ttl_ms or 0,
            result.channel or "",
        )
        return Outcome(code)

    def _letter_keys(self, consumer: str, queue: str) -> list[str]:
        names = self.queue_keys(queue)
        return [
            *names.keys("consumers", "counters", "deaths", "dead", "dead:records", "dead:messages"),
            *names.of_consumer(consumer)[:2],
            *names.keys("consumers:info", "dead:untold"),
        ]

    def postpone(self, consumer: str, id_: DeliveryId, message_id: str, *, grace_s: float, look_s: float) -> Postponed:
        """Let a delivery whose task nobody here knows wait on the broker, uncounted, until its grace time is over.

        The grace time begins with the first call for the message, by whichever worker. Safe to repeat.

        Args:
            consumer: who holds it.
            id_: the delivery.
            message_id: its id.
            grace_s: seconds until nothing is postponed any more.
            look_s: seconds until the next worker may look at it.
        """
        names = self.queue_keys(id_.queue)
        keys = [
            *names.keys("consumers", "counters"),
            *names.of_consumer(consumer)[:2],
            *names.keys("scheduled", "scheduled:messages", "graces"),
        ]
        grace_ms, look_ms = round(grace_s * 1000), round(look_s * 1000)
        code = self.call("postpone", keys, self.now_argument(), consumer, id_.token, message_id, grace_ms, look_ms)
        return _POSTPONED[code]


def _described(one: Condemned) -> list[str | int]:
    texts = (one.message_id or "", one.reason, one.cause, one.traceback)
    return [one.id.token, *map(_storable, texts)]


def _storable(text: str) -> str:
    """Return a text that can be written: a name read from JSON may hold halves of surrogate pairs."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
