"""Consolidation killed at every statement, stopped, repeated and undone: nothing is lost, and undo is byte for byte."""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from hive.consolidation import context_compaction
from hive.consolidation.consolidator import Consolidator
from hive.consolidation.report import Job, RunState
from hive.database.contexts import COMPACTED, Context, ContextKind
from hive.database.memories import MemoryConflictError
from hive.database.sqlite_memories import SqliteMemories
from hive.errors import InputError, SettingsError
from hive.settings.agent_state import MemorySettings
from hive.testing.clock import ManualClock

NOW_S = 1_000_000
#: Seconds after which a forked child is stuck.
STUCK_S = 20
SETTINGS = MemorySettings(compact_after_s=60, retention_s=1_000)


def filled(path: Path) -> SqliteMemories:
    database = SqliteMemories(path)
    said = []
    for number in range(4):
        source = f"talk-{number % 2}"
        said += [
            Context(
                kind=ContextKind.MESSAGE, author="user", text=f"Hi, I am Ada. Order O{number}, please!", source=source
            ),
            Context(kind=ContextKind.CALL, author="get", text=f'{{"order_id": "O{number % 2}"}}', source=source),
            Context(
                kind=ContextKind.RESULT,
                author="get",
                text=f'{{"order_id": "O{number % 2}", "n": {number}}}',
                source=source,
            ),
            Context(
                kind=ContextKind.MESSAGE, author="assistant", text=f"Order O{number % 2}: {number}.", source=source
            ),
        ]
    database.append("a", said)
    return database


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def consolidator(database: SqliteMemories, at_s: float = NOW_S) -> Consolidator:
    return Consolidator(database, SETTINGS, clock=ManualClock(wall_ms=round(at_s * 1000)))


def compacted(database: SqliteMemories) -> None:
    consolidator(database).consolidate("a", [Job.CONTEXT_COMPACTION])


def killed_at(path: Path, number: int, work: Callable[[SqliteMemories], None]) -> bool:
    """Do some work in a child that is killed with -9 before its so-manieth statement; whether it came so far.

    A child of a process with threads may inherit a lock that nobody lets go; it ends by its alarm and is born again.
    """
    child = os.fork()
    if child == 0:
        signal.alarm(STUCK_S)
        database = SqliteMemories(path)
        opened, left = database._file._opened, [number]

        def step(_: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def traced() -> sqlite3.Connection:
            connection = opened()
            connection.set_trace_callback(step)
            return connection

        database._file._opened = traced  # type: ignore[method-assign]
        try:
            work(database)
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return killed_at(path, number, work)
    return os.WIFSIGNALED(status)


def fresh_copy(path: Path, original: bytes) -> Path:
    for each in path.parent.glob("copy.sqlite*"):
        each.unlink()
    path.write_bytes(original)
    return path


def closed(path: Path) -> bytes:
    """Return the file's bytes once all of its write-ahead log is in it."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


@pytest.fixture
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_compaction, "SLICE_CONTEXTS", 6)


@pytest.mark.slow
@pytest.mark.usefixtures("_small_slices")
def test_killed_at_every_statement_nothing_is_lost_and_the_next_takes_the_run_up(tmp_path: Path) -> None:
    filled(tmp_path / "m.sqlite").close()
    original = closed(tmp_path / "m.sqlite")
    path = tmp_path / "copy.sqlite"
    before = rows(tmp_path / "m.sqlite", "contexts")
    number, came_so_far = 0, True
    while came_so_far:
        fresh_copy(path, original)
        came_so_far = killed_at(path, number, compacted)
        left = {row[0]: row[3] for table in ("contexts", "archived_contexts") for row in rows(path, table)}
        assert all(left[row[0]] == row[3] for row in before), f"lost when killed at statement {number}"
        database = SqliteMemories(path)
        [report] = consolidator(database).consolidate("a", [Job.CONTEXT_COMPACTION])
        assert report.state is RunState.DONE
        assert all(one.kind in COMPACTED for one in database.read("a"))
        runs = [run for run in database.runs("a") if run.state == "done"]
        assert len(runs) == 1
        consolidator(database).undo("a", runs[0].run)
        assert rows(path, "contexts") == before, f"not restored after a kill at statement {number}"
        assert not database.index()
        database.close()
        number += 1
    assert number > 60


@pytest.mark.slow
@pytest.mark.usefixtures("_small_slices")
def test_undo_killed_at_every_statement_is_whole_or_not_begun(tmp_path: Path) -> None:
    database = filled(tmp_path / "m.sqlite")
    before = rows(tmp_path / "m.sqlite", "contexts")
    compacted(database)
    run = database.runs("a")[0].run
    database.close()
    original, after = closed(tmp_path / "m.sqlite"), rows(tmp_path / "m.sqlite", "contexts")
    path, number, came_so_far = tmp_path / "copy.sqlite", 0, True
    while came_so_far:
        fresh_copy(path, original)
        came_so_far = killed_at(path, number, lambda own: consolidator(own).undo("a", run) and None)
        assert rows(path, "contexts") in (before, after)
        database = SqliteMemories(path)
        consolidator(database).undo("a", run)
        assert consolidator(database).undo("a", run) == 0
        assert rows(path, "contexts") == before
        assert rows(path, "archived_contexts") == []
        database.close()
        number += 1
    assert number > 5


@pytest.mark.usefixtures("_small_slices")
def test_it_stops_between_slices_and_the_report_adds_up(tmp_path: Path) -> None:
    database = filled(tmp_path / "m.sqlite")
    tokens = database.size("a").token_count
    looks = iter([False, True])
    [stopped] = consolidator(database).consolidate("a", [Job.CONTEXT_COMPACTION], stop=lambda: next(looks))
    assert stopped.state is RunState.STOPPED
    assert stopped.restorable_count == 6
    assert database.size("a").fresh_count == 10
    [done] = consolidator(database).consolidate("a", [Job.CONTEXT_COMPACTION])
    assert done.run == stopped.run
    assert done.restorable_count >= 16
    assert done.written_count == len(database.read("a")) + done.restorable_count - 16
    assert done.dropped["superseded"] > 0
    assert tokens == 0  # they were appended without being counted


def test_what_is_young_or_appended_meanwhile_stays(tmp_path: Path) -> None:
    database = SqliteMemories(tmp_path / "m.sqlite")
    for at_s in (NOW_S - 100, NOW_S - 10):
        database.append("a", [Context(kind=ContextKind.MESSAGE, author="user", text=f"I am {at_s}", at_ms=at_s * 1000)])
    compacted(database)
    left = database.read("a", kinds=[ContextKind.MESSAGE])
    assert [one.at_ms for one in left] == [(NOW_S - 10) * 1000]


def test_a_dry_run_changes_nothing_and_says_what_would_be(tmp_path: Path) -> None:
    database = filled(tmp_path / "m.sqlite")
    before = rows(tmp_path / "m.sqlite", "contexts")
    [report] = consolidator(database).consolidate("a", dry_run=True)
    assert report.state is RunState.DRY
    assert report.restorable_count == 16
    assert rows(tmp_path / "m.sqlite", "contexts") == before
    assert database.runs("a") == []


def test_a_run_that_another_builds_on_or_whose_retention_ended_is_not_undone(tmp_path: Path) -> None:
    database = filled(tmp_path / "m.sqlite")
    compacted(database)
    first = database.runs("a")[0].run
    database.append(
        "a",
        [
            Context(kind=ContextKind.CALL, author="get", text='{"order_id": "O1"}', source="talk-1"),
            Context(kind=ContextKind.RESULT, author="get", text='{"order_id": "O1", "n": 99}', source="talk-1"),
        ],
    )
    [second] = consolidator(database, NOW_S + 1).consolidate("a", [Job.CONTEXT_COMPACTION])
    assert second.run != first
    with pytest.raises(MemoryConflictError, match=second.run):
        consolidator(database).undo("a", first)
    assert consolidator(database).undo("a", second.run) == 3
    with pytest.raises(InputError, match="no-such-run"):
        consolidator(database).undo("a", "no-such-run")
    assert database.expire(2**61, 1) == 1
    with pytest.raises(MemoryConflictError, match="retention"):
        consolidator(database).undo("a", first)


def test_all_jobs_run_in_order_of_priority(tmp_path: Path) -> None:
    database = filled(tmp_path / "m.sqlite")
    clock = ManualClock(wall_ms=NOW_S * 1000)
    whole = Consolidator(database, SETTINGS, clean_broker=lambda stop: {"results_removed": 0}, clock=clock)
    reports = whole.consolidate("a", [Job.DATABASE_MAINTENANCE, *Job])
    assert [report.job for report in reports] == list(Job)
    by_job = {report.job: report.findings for report in reports}
    assert by_job[Job.PERFORMANCE_AUDIT]["contexts"] == len(database.read("a"))
    assert by_job[Job.DATABASE_MAINTENANCE]["damage"] == []
    clock.advance(2_000)
    [kept] = whole.consolidate("a", [Job.DATABASE_MAINTENANCE])
    assert kept.findings["originals_deleted"] == 16 + sum(report.dropped.get("superseded", 0) for report in reports[:1])
    with pytest.raises(SettingsError, match="broker"):
        consolidator(database).consolidate("a", [Job.BROKER_CLEANUP])


def test_of_all_agents_each_is_compacted_and_the_rest_is_done_once(tmp_path: Path) -> None:
    database = filled(tmp_path / "m.sqlite")
    database.append("b", [Context(kind=ContextKind.MESSAGE, author="user", text=f"News {n}.") for n in range(5)])
    settings = SETTINGS.model_copy(update={"max_count": 3})
    whole = Consolidator(database, settings, clock=ManualClock(wall_ms=NOW_S * 1000))
    jobs = [Job.CONTEXT_COMPACTION, Job.PERFORMANCE_AUDIT, Job.DATABASE_MAINTENANCE]
    reports = whole.consolidate(None, jobs)
    assert sorted((report.agent, report.job) for report in reports[:2]) == [
        ("a", Job.CONTEXT_COMPACTION),
        ("b", Job.CONTEXT_COMPACTION),
    ]
    audit, maintenance = reports[2:]
    assert (audit.agent, audit.findings["agents_audited"]) == ("", 2)
    assert maintenance.findings["archived_by_bounds"] > 0
    assert [database.size(agent).count <= 3 for agent in ("a", "b")] == [True, True]
    assert [run.run for run in database.runs("")] == [maintenance.run, audit.run]
    # Told to stop at once: begun with nobody.
    [report] = whole.consolidate(None, [Job.PERFORMANCE_AUDIT], stop=lambda: True)
    assert (report.state, report.findings["agents_audited"]) == (RunState.STOPPED, 0)


def test_an_index_that_does_not_fit_its_texts_is_built_anew(tmp_path: Path) -> None:
    database = filled(tmp_path / "m.sqlite")
    with sqlite3.connect(tmp_path / "m.sqlite") as connection:
        connection.execute("INSERT INTO context_words (context_words, rowid, text) VALUES ('delete', 1, 'Hi I am Ada')")
    [report] = consolidator(database).consolidate("a", [Job.INDEX_UPDATE])
    assert report.findings == {"index_was_damaged": True}
    assert 1 in database.find("a", ["ada"], 10)
    [report] = consolidator(database).consolidate("a", [Job.INDEX_UPDATE])
    assert report.findings == {"index_was_damaged": False}
