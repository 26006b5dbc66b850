"""What a process keeps of retries by itself while its broker is away."""

import pytest

from hive import Hive, RetryBudget
from hive.resilience.adaptive import Outcomes
from hive.runtime.retrying.ledger import RetryLedger
from hive.settings.model import Settings
from hive.testing import ManualClock


def test_without_a_broker_a_process_goes_by_what_it_saw(caplog: pytest.LogCaptureFixture) -> None:
    ledger = RetryLedger(
        Hive("app", broker="redis://127.0.0.1:1", settings=Settings(), set_as_current=False), ManualClock()
    )
    budget = RetryBudget(dependency="d", share=0.0, min_per_s=1.0, window_s=2.0)
    waits = [ledger.draw("d", budget) for _ in range(4)]
    assert waits == pytest.approx([0.0, 0.0, 1.0, 2.0], abs=0.01)
    assert ledger.outcomes("t", "network") == Outcomes()
    ledger.learn("t", "network", (0, 3), done=True)
    assert ledger.outcomes("t", "network").cells == {(0, 3): (1.0, 0.0)}
    assert sum("this process's own" in message for message in caplog.messages) == 1
