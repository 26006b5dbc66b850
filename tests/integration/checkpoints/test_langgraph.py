"""LangGraph's own suite for checkpointers, and what it does not ask."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import BASE_CAPABILITIES

from hive.checkpoints.langgraph import HiveSaver
from hive.errors import CheckpointDamagedError
from tests.support.checkpoint_sides import Sides
from tests.support.redis_server import RedisServer


@pytest.fixture
def sides(tmp_path: Path, redis_server: RedisServer) -> Sides:
    return Sides.fresh(f"sqlite:///{tmp_path / 'checkpoints.sqlite'}", redis_server.url)


@pytest.mark.slow
@pytest.mark.parametrize("cached", [True, False])
def test_the_public_suite_passes_with_every_base_capability(sides: Sides, cached: bool) -> None:
    @checkpointer_test(name="HiveSaver")
    async def saver() -> AsyncGenerator[BaseCheckpointSaver[int], None]:
        yield HiveSaver(sides.open(cached=cached, keep_count=3))

    report = asyncio.run(validate(saver))
    for name in (capability.value for capability in BASE_CAPABILITIES):
        result = report.results[name]
        assert (result.detected, result.tests_failed, result.failures) == (True, 0, []), name
        assert result.tests_passed > 0
    assert report.passed_all_base()


def test_a_thread_is_as_long_as_it_is_and_damage_to_it_is_an_error(sides: Sides) -> None:
    store = sides.open(keep_count=3)
    saver = HiveSaver(store)
    config = {"configurable": {"thread_id": "a:b/c", "checkpoint_ns": "x|y"}}
    for number in range(12):
        checkpoint = {**empty_checkpoint(), "channel_values": {"n": number}, "channel_versions": {"n": number}}
        config = saver.put(config, checkpoint, {"source": "loop", "step": number}, {"n": number})
    assert [one.checkpoint["channel_values"]["n"] for one in saver.list(config_of("a:b/c"))] == list(range(11, -1, -1))
    newest = saver.get_tuple({"configurable": {"thread_id": "a:b/c", "checkpoint_ns": "x|y"}})
    assert newest is not None
    assert newest.metadata["step"] == 11
    (agent,) = store.agents()
    row = store.database.one(agent, 3)
    assert row is not None
    changed = {name: getattr(row, name) for name in row.__dataclass_fields__} | {"header": b"broken"}
    assert store.database.replace(type(row)(**changed), expected_header=row.header)
    with pytest.raises(CheckpointDamagedError):
        list(saver.list(config_of("a:b/c")))
    saver.delete_thread("a:b/c")
    assert list(store.agents()) == []


def config_of(thread: str) -> dict[str, dict[str, str]]:
    return {"configurable": {"thread_id": thread}}


def test_nobody_else_loads_langgraph() -> None:
    code = "import sys, hive, hive.checkpoints; print([m for m in sys.modules if m.startswith(('langgraph', 'langchain', 'zstandard', 'sqlite3', 'alembic', 'sqlalchemy', 'psycopg', 'cryptography.hazmat'))])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"
