"""What the store knows of lanes: ready lists beside a queue's own, each for one worker."""

from collections.abc import Callable
from dataclasses import dataclass

#: The property of a message by which a decision travels to the store; it is not published.
LANE = "hive_lane"

#: The header with a call's key; it stays with the call over retries.
AFFINITY = "hive_affinity"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRecord:
    """A lane of a queue as the broker knows it.

    Attributes:
        worker: whose it is.
        is_alive: whether the lease of that worker goes on; what is sent to a lane of the dead goes to the shared queue.
        age_s: seconds since the worker reported.
        waiting: messages in the lane at that time.
        load: what it reported, as it wrote it.
    """

    worker: str
    is_alive: bool
    age_s: float
    waiting: int
    load: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LongLane:
    """A lane from which a claim may steal once nothing else is left to take.

    Attributes:
        worker: whose it is.
        bound: messages that are left to it.
    """

    worker: str
    bound: int


class ServedLanes:
    """The lanes of one worker process, for all stores of it; without a worker there are none.

    Attributes:
        worker: name of the worker.
        long: by queue, the lane of another to steal from at present.
        has_room: asked at each claim whether a slot is free, so that what is stolen runs at once.
    """

    __slots__ = ("has_room", "long", "worker")

    def __init__(self) -> None:
        self.worker = ""
        self.has_room: Callable[[], bool] = _always
        self.long: dict[str, LongLane] = {}


def _always() -> bool:
    return True
