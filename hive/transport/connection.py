"""kombu's connection with a reconnect that does not fall asleep."""

from typing import Any

import kombu
from kombu.utils.collections import HashedSeq

#: Seconds before the second attempt to connect, what each further one adds, and the longest wait. kombu's own reach
#: half a minute, during which the broker may long be back.
FIRST_WAIT_S = 0.2
MORE_WAIT_S = 0.3
LONGEST_WAIT_S = 2.0


class Connection(kombu.Connection):
    """A connection that is tried again every two seconds at least."""

    def __eqhash__(self) -> Any:
        # kombu's pools are shared by equal connections: one made before the transport was installed is no equal.
        return HashedSeq("hive", super().__eqhash__())

    def clone(self, **kwargs: Any) -> Any:
        """Return another connection to the same broker, of the same owner."""
        twin = super().clone(**kwargs)
        if "hive_process" in self.__dict__:
            twin.hive_process = self.hive_process
        return twin

    def as_uri(self, include_password: bool = False, mask: str = "**", *args: Any, **kwargs: Any) -> str:
        """Return the address as kombu does, without the mask of a password where there is none."""
        shown = str(super().as_uri(include_password, mask, *args, **kwargs))
        return (
            shown if self.password or include_password else shown.replace(f":{mask}@", "@", 1).replace("://@", "://", 1)
        )

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Connect, trying again as kombu does but never more than two seconds apart."""
        kwargs.setdefault("interval_start", FIRST_WAIT_S)
        kwargs.setdefault("interval_step", MORE_WAIT_S)
        kwargs.setdefault("interval_max", LONGEST_WAIT_S)
        return super().ensure_connection(*args, **kwargs)
