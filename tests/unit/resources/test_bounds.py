"""Who belongs to a pool child, and when it uses too much; with real processes."""

import subprocess
import sys

import psutil
import pytest

from hive.resources.bounds import Bound, Bounded, BoundsKeeper, Exceeded, Marks, data_limits, limit_data, over
from hive.resources.families import Families, FamilyUse
from tests.support.eventually import eventually

MB = 1 << 20
#: Starts a process that has a session of its own, and whose parent has ended before anybody looks; prints its number.
RUNAWAY = (
    "import os, threading\n"
    "input()\n"
    "told, tell = os.pipe()\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    runaway = os.fork()\n"
    "    if runaway:\n"
    "        os.write(tell, b'%d' % runaway)\n"
    "        os._exit(0)\n"
    "    threading.Event().wait()\n"
    "os.wait()\n"
    "print(os.read(told, 20).decode(), flush=True)\n"
    "threading.Event().wait()\n"
)


@pytest.mark.parametrize(
    ("bound", "use", "expected"),
    [
        (Bound(memory_bytes=0, processes=0), FamilyUse(pids=(1, 2, 3), memory_bytes=MB, cpu_s=0), None),
        (Bound(memory_bytes=MB, processes=2), FamilyUse(pids=(1, 2, 3), memory_bytes=MB, cpu_s=0), None),
        (
            Bound(memory_bytes=MB, processes=1),
            FamilyUse(pids=(1, 2, 3), memory_bytes=MB, cpu_s=0),
            (Bounded.PROCESSES, 2, 1),
        ),
        (
            Bound(memory_bytes=MB, processes=0),
            FamilyUse(pids=(1,), memory_bytes=MB + 1, cpu_s=0),
            (Bounded.MEMORY, MB + 1, MB),
        ),
    ],
    ids=["no bounds", "just within", "one process too many", "one byte too much"],
)
def test_what_is_above_its_bound(bound: Bound, use: FamilyUse, expected: object) -> None:
    assert over(bound, use) == expected


def test_pages_that_a_family_shares_count_once() -> None:
    own = psutil.Process().memory_info().rss
    family = FamilyUse(pids=(psutil.Process().pid, 0), memory_bytes=3 * own, cpu_s=0)
    assert over(Bound(memory_bytes=2 * own, processes=0), family) is None


def test_a_process_that_left_its_parent_unseen_ends_with_its_family_and_others_do_not() -> None:
    told: list[Exceeded] = []
    marks = Marks()
    keeper = BoundsKeeper(told.append, marks)
    children = [
        subprocess.Popen([sys.executable, "-c", RUNAWAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for child in children:
            marks.put(child.pid)
        first, second = (psutil.Process(int(_begun(child))) for child in children)
        bounds = [Bound(memory_bytes=500 * MB, processes=count) for count in (0, 1)]
        used = keeper.look(dict(zip((child.pid for child in children), bounds, strict=True)))
        assert [set(used[child.pid].pids) for child in children] == [
            {children[0].pid, first.pid},
            {children[1].pid, second.pid},
        ]
        limits = data_limits(second.pid)
        assert limits is not None
        assert limits[1] > 1 << 60
        keeper.look({children[0].pid: bounds[1], children[1].pid: Bound(memory_bytes=MB, processes=5)})
        assert [(one.pid, one.what, one.killed) for one in told] == [(children[1].pid, Bounded.MEMORY, 2)]
        assert "1 MB are allowed" in str(told[0])
        assert children[1].wait(60) == -9
        eventually(lambda: _has_ended(second), what="the runaway has ended")
        assert children[0].poll() is None
        assert not _has_ended(first)
    finally:
        for child in children:
            child.kill()
            child.wait()
        if not _has_ended(first):
            first.kill()


def test_a_child_that_had_started_processes_before_anybody_was_told_of_it_has_them_in_its_family() -> None:
    marks = Marks()
    families = Families(marks.bearer)
    child = subprocess.Popen([sys.executable, "-c", RUNAWAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        marks.put(child.pid)
        runaway = psutil.Process(int(_begun(child)))
        assert families.look([]) == {}
        assert set(families.look([child.pid])[child.pid]) == {child.pid, runaway.pid}
    finally:
        child.kill()
        child.wait()
        runaway.kill()


def test_a_limit_never_gives_more_than_there_was() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        limit_data(child.pid, 300 * MB)
        assert data_limits(child.pid) == (300 * MB, -1)
        Marks().put(child.pid)
        assert data_limits(child.pid) == (300 * MB, -1), "what is bound already is not marked"
        limit_data(child.pid, 0)
        assert data_limits(child.pid) == (-1, -1)
        child.kill()
    limit_data(child.pid, 300 * MB)
    assert data_limits(child.pid) is None


def _begun(child: "subprocess.Popen[str]") -> str:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    return child.stdout.readline()


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
