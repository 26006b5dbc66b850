"""Which lane an idle worker steals from."""

from hive.routing.report import LoadReport
from hive.runtime.worker.lanes import longest
from hive.store.lane import LaneRecord, LongLane


def lane(worker: str, waiting: int, slots: int = 1, busy: int | None = None) -> LaneRecord:
    load = LoadReport(slots=slots, busy=slots if busy is None else busy, held=0).written()
    return LaneRecord(worker=worker, is_alive=True, age_s=0.1, waiting=waiting, load=load)


def test_the_lane_furthest_above_what_it_keeps_is_stolen_from() -> None:
    lanes = (lane("me", 50), lane("a", 9, slots=8), lane("b", 7), lane("c", 1))
    assert longest("me", lanes, 1.0) == LongLane(worker="b", bound=1)
    assert longest("me", lanes, 0.25) == LongLane(worker="a", bound=2)
    assert longest("me", lanes, 100.0) is None
    assert longest("me", (), 1.0) is None


def test_in_an_idle_pool_lanes_keep_less() -> None:
    idle = [lane(f"idle{number}", 0, slots=10, busy=0) for number in range(8)]
    for busy, bound in ((idle[:0], 6), (idle[:1], 2), (idle, 1)):
        assert longest("me", (lane("a", 9, slots=10), *busy), 0.6) == LongLane(worker="a", bound=bound)
