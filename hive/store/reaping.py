"""Returning what the dead held."""

from collections.abc import Sequence

from hive.store.caller import Caller
from hive.store.finishing import DEATHS_KEPT_MS
from hive.store.keys import distinct
from hive.store.values import Reap, Tick

REAP_MESSAGES = 500

_TICKED = ("state", "consumers", "counters", "consumers:info")


class Reaping(Caller):
    """What every worker does every ``reap_every_s``."""

    def tick(self, queues: Sequence[str]) -> tuple[Tick, ...]:
        """Look for leases that have ended, on all queues, in one round trip.

        The instant of the look is kept on the broker. If the last one is half a lease or more ago, or was made under
        another run id of the server, or lies in the future, then it was the broker, its clock or all of us that was
        gone: every lease is extended by its own term and nobody is reported.
        """
        wanted = distinct(queues)
        keys = [key for queue in wanted for key in self.queue_keys(queue).keys(*_TICKED)]
        reply = self.call("tick", keys, self.now_argument(), self.run_id_argument(), self.lease_ms)
        return tuple(
            Tick(
                queue=queue,
                forgiven=bool(forgiven),
                consumers=consumers,
                next_end_s=None if next_end_ms < 0 else next_end_ms / 1000,
                expired=tuple(name.decode() for name in expired),
            )
            for queue, (forgiven, consumers, next_end_ms, *expired) in zip(wanted, reply, strict=True)
        )

    def reap(self, queue: str, consumer: str) -> Reap:
        """Return one batch of what a consumer held whose lease has ended; repeat until ``remaining`` is 0.

        The end of the lease and the freshness of the last :meth:`tick` are checked in the same step, so any number of
        workers may reap at once. What it had started counts one death, what it had only claimed counts nothing. From
        the first batch on the consumer is refused everything.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        names = self.queue_keys(queue)
        keys = [
            *names.keys("state", "consumers", "consumers:info", "counters", "wake", "suspects"),
            *names.keys("deaths", "deaths:expiry", "dead", "dead:records", "dead:messages"),
            *names.of_consumer(consumer),
            names.key("dead", "untold"),
            *names.ready,
        ]
        reaped, returned, suspects, dead, remaining = self.call(
            "reap",
            keys,
            self.now_argument(),
            self.run_id_argument(),
            consumer,
            self.lease_ms,
            self.settings.max_deliveries,
            DEATHS_KEPT_MS,
            queue,
            REAP_MESSAGES,
            self.settings.claim_max_bytes,
            *self.layout.priority_steps,
        )
        return Reap(reaped=bool(reaped), returned=returned, suspects=suspects, dead=dead, remaining=remaining)
