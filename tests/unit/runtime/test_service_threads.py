"""Threads of a worker that nobody starts again: they outlive what nobody foresaw, and say so once."""

from types import SimpleNamespace
from typing import Any

import pytest

from hive.runtime.worker.lanes import LaneKeeper
from hive.runtime.worker.size_keeper import SizeKeeper
from hive.scaling.rules import ScalingRules
from hive.settings.parts import RoutingSettings
from hive.store.lane import ServedLanes
from tests.support.eventually import eventually


class Surprise:
    """Raises whenever it is called, and counts."""

    count = 0

    def __call__(self, *_: Any) -> Any:
        self.count += 1
        raise LookupError("nobody foresaw this")


def test_a_pool_is_sized_again_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    waiting = Surprise()
    keeper = SizeKeeper(
        ScalingRules, lambda: 1, waiting, lambda _: None, lambda _: None, service_s=list, room=lambda slots: slots
    )
    keeper.start()
    eventually(lambda: waiting.count >= 2, what="it looks again")
    keeper.stop()
    assert caplog.text.count("LookupError: nobody foresaw this") == 1


def test_a_load_is_reported_again_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    measure, holder = Surprise(), SimpleNamespace(queues=(), id="c")
    settings = RoutingSettings(report_every_s=0.05)
    keeper = LaneKeeper(lambda: None, holder, ServedLanes(), settings, measure)  # type: ignore[arg-type, return-value]
    keeper.start()
    eventually(lambda: measure.count >= 2, what="it measures again")
    keeper.stop()
    assert caplog.text.count("LookupError: nobody foresaw this") == 1
