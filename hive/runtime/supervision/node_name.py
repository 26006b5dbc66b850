"""The node name of a worker that was given none."""

from itertools import count

from hive.runtime.home import Home
from hive.runtime.lock import FileLock
from hive.runtime.supervision.state import read_report


class NodeName:
    """A name that no other worker of this home has while this object lives: TYPE@HOST, else TYPE-2@HOST and so on.

    Two workers of one name would answer for one another: ``inspect``, events and Flower know workers by name. The
    kernel frees a name with the death of its holder. A pool of a running ``hive up`` has its type's own name.

    Args:
        home: whose workers.
        agent_type: the type.
    """

    def __init__(self, home: Home, agent_type: str) -> None:
        report = read_report(home)
        first = 2 if report is not None and report.pool(agent_type) is not None else 1
        for number in count(first):
            name = agent_type if number == 1 else f"{agent_type}-{number}"
            lock = FileLock(home.logs / f"{name}.node.lock")
            if lock.acquire():
                self._lock = lock
                self.name = f"{name}@%h"
                return

    def release(self) -> None:
        """Give it up. A repeat does nothing."""
        self._lock.release()

    def keep(self) -> None:
        """Keep it when this process goes on as another program."""
        self._lock.keep()
