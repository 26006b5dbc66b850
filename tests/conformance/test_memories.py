"""An agent's memory in either database: search, bounds, forgetting, putting back, and runs that can be undone."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from hive.database.contexts import Context, ContextKind
from hive.database.memories import BOUNDS, MemoryConflictError, MemoryDatabase, StoredRun
from hive.database.sqlite_memories import SqliteMemories
from hive.errors import InputError
from hive.memory.memory import Memory
from hive.memory.opening import open_memories
from hive.memory.ranking import fused
from hive.memory.tokens import estimated_tokens
from hive.settings.agent_state import MemorySettings
from hive.testing.clock import ManualClock


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryDatabase]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database(f"db{uuid.uuid4().hex}")
    opened = open_memories(url, tmp_path / "m.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def memory(database: MemoryDatabase) -> Memory:
    return Memory("a", database, clock=ManualClock())


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
        [Context(kind=ContextKind.FACT, text=text, source="s") for text in ("zebra \0 \ud7ff 🦓\r\n", "lion")]
    )
    before = memory.contexts()
    assert memory.forget(ids[:1]) == 1
    assert memory.forget(ids[:1]) == 0
    assert [one.text for one in memory.contexts()] == ["lion"]
    assert memory._database.find("a", ["zebra"], 10) == []
    assert memory.size().archived_count == 1
    assert memory.restore(ids) == 1
    assert memory.contexts() == before
    assert memory.search("zebra", limit=1)[0].text == "zebra \0 \ud7ff 🦓\r\n"


def test_past_a_bound_the_oldest_are_archived_and_never_deleted(database: MemoryDatabase) -> None:
    clock = ManualClock()
    settings = MemorySettings(max_count=70, max_age_s=1_000, retention_s=10)
    memory = Memory("a", database, settings=settings, clock=clock)
    for number in range(128):
        memory.append(f"number {number}")
    assert [one.text for one in memory.contexts()] == [f"number {at}" for at in range(58, 128)]
    clock.advance(2_000)
    assert memory.keep_bounds() == 70
    assert (memory.size().count, memory.size().archived_count) == (0, 128)
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


def test_a_text_that_is_no_text_is_refused(memory: Memory) -> None:
    for author, text in (("user", "half of a pair: \ud800"), ("us\0er", "text")):
        with pytest.raises(InputError):
            memory.append(text, author=author)
    assert memory.contexts() == []


def test_a_run_is_all_or_nothing_and_undone_whole(memory: Memory, database: MemoryDatabase) -> None:
    ids = memory.append_all([Context(kind=ContextKind.FACT, text=f"fact {number}") for number in range(4)])
    before = memory.contexts()
    draft = Context(kind=ContextKind.SUMMARY, text="zebra", at_ms=1)
    record = StoredRun(run="r1", agent="a", job="context_compaction", started_at_ms=5, state="done", report="{}")
    with pytest.raises(MemoryConflictError):
        database.replace("a", "r1", [draft], {ids[0]: "x", 999: "x"}, at_ms=1, until_ms=9, record=record)
    with pytest.raises(MemoryConflictError):
        database.replace("b", "r1", [], {ids[0]: "x"}, at_ms=1, until_ms=9)
    assert (memory.contexts(), database.runs("a")) == (before, [])
    [written] = database.replace("a", "r1", [draft], dict.fromkeys(ids[:3], "x"), at_ms=1, until_ms=9, record=record)
    assert database.runs("a") == [record]
    assert database.find("a", ["zebras"], 5) == [written]
    assert [one.context for one in database.archived("a", "r1")] == before[:3]
    database.replace("a", "r1", [draft], {written: "superseded"}, at_ms=2, until_ms=9)
    database.replace("a", "r2", [], {ids[3]: "x"}, at_ms=3, until_ms=9)
    assert database.undo("a", "r1") == 3
    assert database.undo("a", "r1") == 0
    assert memory.contexts() == before[:3]
    assert database.undo("a", "r2") == 1
    assert memory.contexts() == before
    assert memory.size().archived_count == 0


def test_what_was_deleted_after_its_retention_is_not_undone(memory: Memory, database: MemoryDatabase) -> None:
    ids = memory.append_all([Context(kind=ContextKind.FACT, text=f"fact {number}") for number in range(3)])
    database.save_run(StoredRun(run="r1", agent="a", job="j", started_at_ms=5, state="done", report="{}"))
    database.replace("a", "r1", [], dict.fromkeys(ids[:2], "x"), at_ms=1, until_ms=9)
    assert database.expire(8, 10) == 0
    assert database.expire(9, 1) == 1
    with pytest.raises(MemoryConflictError, match="retention of 1"):
        database.undo("a", "r1")
    assert list(database.maintain()) == []
    assert not database.index(rebuild=True)
    assert database.find("a", ["fact"], 5) == [ids[2]]
    assert database.agents() == ["a"]


def test_a_run_is_undone_though_something_it_wrote_was_forgotten(memory: Memory, database: MemoryDatabase) -> None:
    memory.append("an original")
    before = memory.contexts()
    draft = Context(kind=ContextKind.SUMMARY, text="shorter", at_ms=1)
    [written] = database.replace("a", "r1", [draft], {before[0].id: "x"}, at_ms=1, until_ms=9)
    assert memory.forget([written]) == 1
    assert database.undo("a", "r1") == 1
    assert memory.contexts() == before
    assert memory.restore([written]) == 0


def test_maintenance_waits_for_who_writes(tmp_path: Path) -> None:
    written, maintained = (SqliteMemories(tmp_path / "m.sqlite") for _ in range(2))
    maintained.append("a", [Context(kind=ContextKind.FACT, text=f"fact {number}") for number in range(50)])
    # It has been asked for by words and by age, so its figures are wanted.
    assert maintained.find("a", ["fact"], 3)
    assert maintained.newest("a", 3)
    with ThreadPoolExecutor() as pool:
        with written._file.writing() as connection:
            connection.execute("UPDATE contexts SET used_count = 1")
            found = pool.submit(maintained.maintain)
            wait([found], 0.3)
        assert found.result(60) == []
    written.close()
    maintained.close()
