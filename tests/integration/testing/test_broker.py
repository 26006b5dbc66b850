"""A broker of a test's own is there within the block and gone after it."""

from pathlib import Path

import pytest

from hive import Hive
from hive.errors import BrokerError
from hive.runtime.connection import broker_facts
from hive.testing import temporary_broker


def test_two_brokers_live_side_by_side_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HIVE_EMBEDDED_PORT", "1")
    with temporary_broker() as first, temporary_broker() as second:
        assert first != second
        one, other = Hive("one", broker=first, backend=first), Hive("other", broker=second, backend=second)
        one.send_task("task", queue="q")
        with one.connection() as connection:
            assert connection.default_channel.queue_declare("q", passive=True).message_count == 1
        with other.connection() as connection:
            assert connection.default_channel.queue_declare("q").message_count == 0
        one.close()
        other.close()
    assert not list((tmp_path / "home").glob("broker/broker.*")), "the user's own was left alone"
    with pytest.raises(BrokerError):
        broker_facts(Hive("late", broker=first))
