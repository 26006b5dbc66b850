"""What a consumer does with a delivery: start it, finish it, give it back (and :mod:`hive.store.setting_aside`).

Every step names consumer and token. The script carries it out only if that consumer is registered and holds that
delivery; else it changes nothing, counts the refusal and says so.
"""

from collections.abc import Sequence

from hive.store.caller import Caller
from hive.store.keys import distinct
from hive.store.turn import mark_of
from hive.store.values import DeliveryId, Due, Fate, Outcome, Outgoing, Start, Started, StoredResult

DEATHS_KEPT_MS = 7 * 86_400_000

#: What else may stand beside a message, and is forgotten when it has ended.
_BESIDE = ("deaths:expiry", "unique", "unique:expiry")

_FATE = {1: Fate.READY, 2: Fate.SUSPECT, 3: Fate.DEAD, 0: Fate.ALREADY, -1: Fate.STALE}


class Finishing(Caller):
    """The steps of a delivery after its claim."""

    def start(self, consumer: str, starts: Sequence[Start]) -> tuple[Started, ...]:
        """Record that bodies are about to run; only what is recorded here counts when the worker dies.

        Call it before the bodies run, and run only those that come back ``DONE``. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        if not starts:
            return ()
        queues = distinct([start.id.queue for start in starts])
        keys: list[str] = []
        for queue in queues:
            names = self.queue_keys(queue)
            keys += [*names.keys("consumers", "counters", "deaths"), *names.of_consumer(consumer)[:2]]
        arguments: list[str | int] = []
        for start in starts:
            arguments += [queues.index(start.id.queue) + 1, start.id.token, start.message_id]
        reply = self.call("start", keys, consumer, *arguments)
        return tuple(
            Started(id=start.id, outcome=Outcome(code), deaths=deaths, put_back=bool(put_back))
            for start, (code, deaths, put_back) in zip(starts, reply, strict=True)
        )

    def finish(self, consumer: str, ids: Sequence[DeliveryId]) -> tuple[Outcome, ...]:
        """Acknowledge deliveries, of one or several queues, in one round trip: the messages have ended.

        Safe to repeat: what was finished before is ``ALREADY``.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        if not ids:
            return ()
        queues = distinct([id_.queue for id_ in ids])
        keys: list[str] = []
        for queue in queues:
            names = self.queue_keys(queue)
            keys += [*names.keys("consumers", "counters", "deaths"), *names.of_consumer(consumer)[:2]]
            keys += names.keys(*_BESIDE)
        arguments: list[int] = []
        for id_ in ids:
            arguments += [queues.index(id_.queue) + 1, id_.token]
        return tuple(Outcome(code) for code in self.call("finish", keys, consumer, *arguments))

    def finish_with_result(self, consumer: str, id_: DeliveryId, result: StoredResult) -> Outcome:
        """Write the task's result, announce it and finish the delivery, all or nothing, if it is current.

        A repeat is ``ALREADY`` and writes nothing. It may be called from a pool child that knows the consumer's id.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        return Outcome(self._result(consumer, id_, result, finish=True))

    def store_result(self, consumer: str, id_: DeliveryId, result: StoredResult) -> Outcome:
        """Write an intermediate state (STARTED, PROGRESS) if the delivery is current; it stays in flight.

        Returns:
            ``DONE`` if written; ``ALREADY`` or ``STALE`` if nothing was.
        """
        return Outcome(self._result(consumer, id_, result, finish=False))

    def _result(self, consumer: str, id_: DeliveryId, result: StoredResult, *, finish: bool) -> int:
        names = self.queue_keys(id_.queue)
        keys = [*names.keys("consumers", "counters", "deaths"), *names.of_consumer(consumer)[:2], result.key]
        keys += names.keys(*_BESIDE)
        return int(
            self.call(
                "finish_with_result",
                keys,
                consumer,
                id_.token,
                result.value,
                result.ttl_ms or 0,
                result.channel or "",
                int(finish),
            )
        )

    def check(self, consumer: str, id_: DeliveryId) -> Outcome:
        """Say whether a delivery is current (``DONE``), has ended, or is stale; changes nothing but the count.

        For results, chord parts and next steps that are written elsewhere. Between this check and that write the lease
        can end; only what one script does is safe from that.
        """
        names = self.queue_keys(id_.queue)
        keys = [*names.keys("consumers", "counters"), names.of_consumer(consumer)[0]]
        return Outcome(self.call("check", keys, consumer, id_.token))

    def retry(self, consumer: str, id_: DeliveryId, message: Outgoing) -> Outcome:
        """Finish a delivery and publish what follows it, in one step: the new message waits until its due time.

        Safe to repeat. The new message may go to another queue; its ``dedup_id`` is not looked at, because the delivery
        can be finished only once.

        Returns:
            ``DONE`` if both were done, else neither was.

        Raises:
            MessageTooLargeError: the new message is over the limit; nothing was changed.
        """
        self.check_size(message)
        names, target = self.queue_keys(id_.queue), self.queue_keys(message.queue)
        step = self.layout.step(message.priority)
        keys = [
            *names.keys("consumers", "counters", "deaths"),
            *names.of_consumer(consumer)[:2],
            *target.keys("scheduled", "scheduled:messages", "wake"),
            target.ready[step],
            *names.keys("unique", "unique:expiry", "deaths:expiry"),
        ]
        return Outcome(
            self.call(
                "retry",
                keys,
                self.now_argument(),
                consumer,
                id_.token,
                message.message_id,
                message.due_ms or 0,
                f"{self.layout.priority_steps[step]}{mark_of(message.fair)}",
                message.payload,
                int(message.queue == id_.queue),
            )
        )

    def reschedule(self, consumer: str, id_: DeliveryId, message_id: str, due_ms: int) -> Outcome:
        """Move a delivery, its payload unchanged, to the scheduled set; for eta messages of stock producers.

        Safe to repeat; no start is counted.
        """
        return self.reschedule_many(consumer, [Due(id=id_, message_id=message_id, due_ms=due_ms)])[0]

    def reschedule_many(self, consumer: str, waiting: Sequence[Due]) -> tuple[Outcome, ...]:
        """The same for many deliveries, in one round trip for each queue."""
        outcomes: dict[DeliveryId, Outcome] = {}
        for queue in distinct([one.id.queue for one in waiting]):
            mine = [one for one in waiting if one.id.queue == queue]
            names = self.queue_keys(queue)
            keys = [
                *names.keys("consumers", "counters"),
                *names.of_consumer(consumer)[:2],
                *names.keys("scheduled", "scheduled:messages"),
            ]
            arguments: list[str | int] = []
            for one in mine:
                arguments += [one.id.token, one.message_id, one.due_ms, mark_of(one.fair)]
            codes = self.call("reschedule", keys, consumer, *arguments)
            outcomes.update(zip((one.id for one in mine), map(Outcome, codes), strict=True))
        return tuple(outcomes[one.id] for one in waiting)

    def requeue(self, consumer: str, ids: Sequence[DeliveryId], *, to_end: bool = False) -> tuple[Outcome, ...]:
        """Hand deliveries back to ready, uncounted, in the order they had. Safe to repeat.

        Args:
            consumer: who holds them.
            ids: which.
            to_end: after all that is ready now, for a task that asks to be put back: it must not keep out the others.
                Else they will be claimed next, as what was never started should be.
        """
        outcomes: dict[DeliveryId, Outcome] = {}
        for queue in distinct([id_.queue for id_ in ids]):
            # The youngest goes back first, so that the oldest ends up at the head.
            mine = sorted((id_ for id_ in ids if id_.queue == queue), key=lambda id_: id_.token, reverse=not to_end)
            names = self.queue_keys(queue)
            keys = [
                *names.keys("consumers", "counters", "wake", "suspects"),
                *names.of_consumer(consumer)[:2],
                *names.keys("deaths", "deaths:expiry"),
                *names.ready,
            ]
            codes = self.call(
                "requeue", keys, self.now_argument(), consumer, int(to_end), DEATHS_KEPT_MS, len(self.layout.priority_steps), *self.layout.priority_steps,
                *(id_.token for id_ in mine),
            )  # fmt: skip
            outcomes.update(zip(mine, map(Outcome, codes), strict=True))
        return tuple(outcomes[id_] for id_ in ids)

    def reject(self, consumer: str, id_: DeliveryId, how: str) -> Fate:
        """Count a death of a started delivery whose pool child was lost, and send the message where that leads.

        Below the limit it goes back to ready, one short of it to the suspects, at it to the dead letters. Safe to
        repeat. A delivery that was never started goes back uncounted.

        Args:
            consumer: who holds it.
            id_: the delivery.
            how: what killed the child, for the history.
        """
        names = self.queue_keys(id_.queue)
        keys = [
            *names.keys("consumers", "counters", "wake", "suspects", "deaths", "deaths:expiry"),
            *names.keys("dead", "dead:records", "dead:messages"),
            *names.of_consumer(consumer)[:2],
            *names.keys("consumers:info", "dead:untold"),
            *names.ready,
        ]
        code = self.call(
            "reject",
            keys,
            self.now_argument(),
            consumer,
            id_.token,
            how,
            self.settings.max_deliveries,
            DEATHS_KEPT_MS,
            id_.queue,
            *self.layout.priority_steps,
        )
        return _FATE[code]
