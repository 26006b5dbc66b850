"""An agent's memory in a file: search, bounds, forgetting and putting back."""

from pathlib import Path

import pytest

from hive.database.contexts import Context, ContextKind
from hive.errors import InputError
from hive.memory.memory import BOUNDS, Memory
from hive.memory.opening import open_memories
from hive.memory.ranking import fused
from hive.memory.tokens import estimated_tokens
from hive.settings.parts import MemorySettings
from hive.testing.clock import ManualClock


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory("a", open_memories(None, tmp_path / "m.sqlite"), clock=ManualClock())


def test_what_answers_is_found_first_and_its_use_counted(memory: Memory) -> None:
    for number in range(80):
        memory.append(f"nothing of interest, number {number}", source="noise")
    wanted = memory.append('{"user_id": "mia_li_3668"}', kind=ContextKind.CALL, author="get_user", source="talk")
    for number in range(80):
        memory.append(f"still nothing, number {number}", source="noise")
    found = memory.search("which user_id has Mia", limit=3, source="talk")
    assert found[0].id == wanted
    assert memory.contexts(ids=[wanted])[0].used_count == 1
    assert Memory("b", memory._database).search("user_id") == []


@pytest.mark.parametrize("query", ['"', "a OR", "NEAR(", "text:x*", "'; DROP TABLE contexts", "\x00", ""])
def test_a_query_is_text_and_never_syntax(memory: Memory, query: str) -> None:
    memory.append("a text")
    assert [one.text for one in memory.search(query)] == ["a text"]


def test_forgotten_contexts_come_back_as_they_were(memory: Memory) -> None:
    ids = memory.append_all(
        [Context(kind=ContextKind.FACT, text=text, source="s") for text in ("zebra \ud7ff 🦓\r\n", "lion")]
    )
    before = memory.contexts()
    assert memory.forget(ids[:1]) == 1
    assert memory.forget(ids[:1]) == 0
    assert [one.text for one in memory.contexts()] == ["lion"]
    assert memory._database.find("a", ["zebra"], 10) == []
    assert memory.size().archived_count == 1
    assert memory.restore(ids) == 1
    assert memory.contexts() == before
    assert memory.search("zebra", limit=1)[0].text == "zebra \ud7ff 🦓\r\n"


def test_past_a_bound_the_oldest_are_archived_and_never_deleted(tmp_path: Path) -> None:
    clock = ManualClock()
    database = open_memories(None, tmp_path / "m.sqlite")
    settings = MemorySettings(max_count=70, max_age_s=1_000, retention_s=10)
    memory = Memory("a", database, settings=settings, clock=clock)
    for number in range(128):
        memory.append(f"number {number}")
    assert [one.text for one in memory.contexts()] == [f"number {at}" for at in range(58, 128)]
    clock.advance(2_000)
    assert memory.keep_bounds() == 70
    assert database.expire(clock.wall_ms(), 1_000) == 0
    gone = memory.archived()
    assert len(gone) == 128
    assert {one.reason for one in gone} == {"count", "age"}
    assert {one.run for one in gone} == {BOUNDS}


def test_tokens_are_estimated_and_a_memory_needs_a_name(memory: Memory) -> None:
    assert estimated_tokens("") == 0
    assert estimated_tokens("The cat sat on the mat.") == 7
    assert estimated_tokens("reservation 1234567") == 5
    with pytest.raises(InputError):
        Memory("", memory._database)


def test_ranks_are_joined() -> None:
    assert fused([[1, 2, 3], [3, 4]], 2) == [3, 1]
