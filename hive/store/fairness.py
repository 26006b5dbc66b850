"""Messages whose keys take turns: the small key is not behind the large one's backlog.

They wait behind the ready lists, which hold one of them at a time, filled in turn: what LLEN counts, and what a stock
worker can take. A claim takes further ones in turn by itself.
"""

from collections.abc import Sequence
from urllib.parse import unquote

from hive.store.caller import Caller
from hive.store.dedup import digest_of
from hive.store.faults import translated
from hive.store.keys import FAIR
from hive.store.turn import mark_of
from hive.store.values import Outgoing


class Fairness(Caller):
    """Publishes behind the ready lists, and counts what waits there."""

    def publish_in_turn(self, messages: Sequence[Outgoing]) -> list[bool]:
        """Publish messages of one queue that are due now and have a key each; whether each was taken.

        Raises:
            BrokerFullError: the broker is at its memory limit; nothing was published.
            BrokerGoneError: no reply; it may have been published, and may be repeated.
        """
        names, steps = self.queue_keys(messages[0].queue), self.layout.priority_steps
        keys = [
            *names.keys("published:0", "published:1", "counters", "wake", "state", *FAIR),
            *names.ready,
        ]
        arguments: list[str | int | bytes] = [
            self.now_argument(),
            round(self.settings.publish_dedup_s * 1000),
            len(steps),
            *steps,
        ]
        for message in messages:
            step = steps[self.layout.step(message.priority)]
            arguments += [step, digest_of(message.dedup_id), mark_of(message.fair), message.payload]
        return [bool(taken) for taken in self.call("publish_fair", keys, *arguments)]

    def behind(self, queue: str) -> int:
        """Return how many messages wait for their key's turn."""
        with translated("behind"):
            return int(self.client.zcard(self.queue_keys(queue).key("fair")))

    def waiting_by_key(self, queue: str) -> dict[str, int]:
        """Return how many messages of each key wait behind the ready lists, most first."""
        with translated("waiting_by_key"):
            found: dict[bytes, bytes] = self.client.hgetall(self.queue_keys(queue).key("fair", "waiting"))
        counts = {unquote(key.decode()): int(count) for key, count in found.items()}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
