"""Which messages a consumer has made wait on the broker because of their eta."""

from hive.transport.envelope import Envelope, is_scheduled_by_us, message_id

#: Messages that are remembered.
KNOWN = 10_000


class Rescheduled:
    """Remembers the last messages that have waited."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def may_wait(self, found: Envelope) -> bool:
        """Whether a message whose time is not come, by this host's clock, is to wait on the broker.

        Not if it has done so: then it is due by the broker's clock, and ours is behind. It would come back at once.
        """
        id_ = message_id(found)
        if is_scheduled_by_us(found) or id_ in self._known:
            self._known.pop(id_, None)
            return False
        self._known[id_] = None
        if len(self._known) > KNOWN:
            # The oldest: most have come back to other workers. One that comes back here waits once more.
            del self._known[next(iter(self._known))]
        return True
