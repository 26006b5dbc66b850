"""How a queue is bound to an exchange: kombu's tables, also on a broker at its memory limit."""

from functools import cached_property
from typing import Any

from kombu.transport import redis as kombu_redis


class Bindings(kombu_redis.Channel):
    """kombu's Redis channel, whose bindings a full broker takes too: a worker must start there to drain it."""

    store: Any

    @cached_property
    def _refresh_binding(self) -> Any:
        # Queues that expire, as those of remote control: kombu's own script, which a full broker would refuse.
        return self._create_client().register_script("#!lua flags=allow-oom\n" + kombu_redis.REFRESH_BINDING)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        if queue in self._expires:
            super()._queue_bind(exchange, routing_key, pattern, queue)
            return
        if self.typeof(exchange).type == "fanout":
            self._fanout_queues[queue] = (exchange, routing_key.replace("#", "*"))
        binding = self.sep.join([routing_key or "", pattern or "", queue or ""])
        tables = [self.keyprefix_queue % (exchange,), self.keyprefix_binding_permanent % (exchange,)]
        self.store.bind(tables, binding)
