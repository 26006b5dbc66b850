"""Messages that are taken without a record, for consumers that never acknowledge: replies of ``inspect``.

Nobody would give them back, so a plain blocking pop may take them. It sees what stock workers reply, who leave no tokens.
"""

from collections.abc import Sequence

from hive.store.keys import distinct
from hive.store.store import Store
from hive.store.values import Delivery, DeliveryId


def lists(store: Store, queues: Sequence[str]) -> tuple[str, ...]:
    """Return the full names of the ready lists to block on (``BRPOP``), in kombu's order."""
    steps = range(len(store.layout.priority_steps))
    return tuple(store.queue_keys(queue).ready[step] for step in steps for queue in distinct(queues))


def popped(store: Store, queues: Sequence[str], reply: tuple[bytes, bytes]) -> Delivery:
    """Return what a blocking pop on :func:`lists` took, as a delivery without a token."""
    name, payload = reply
    queue_of = {key: queue for queue in distinct(queues) for key in store.queue_keys(queue).ready}
    return Delivery(id=DeliveryId(queue=queue_of[name.decode()], token=0), priority=0, payload=payload)
