"""Tools end when they must, leave nothing behind, and say in one sentence what went wrong."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.eventually import eventually
from workers.tool import ToolFailedError, ToolTimeoutError, batches, run

#: A shell with a child of its own; both would outlive the test.
FAMILY = "sleep 300 & echo $! > {file}; wait"


class InterruptedByTestError(Exception):
    """Stands for a time limit or Ctrl-C in the caller."""


@pytest.fixture
def interrupt_after_s() -> Iterator[object]:
    """Return a function that interrupts the test after some seconds."""

    def interrupt(*_: object) -> None:
        raise InterruptedByTestError

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def is_gone(pid: int) -> bool:
    """Whether no process, or only what is left of one until it is reaped, has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_tool_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(ToolTimeoutError, match=r"^sh was ended after 0\.5 s$"):
        run(["sh", "-c", FAMILY.format(file=file)], timeout_s=0.5)
    assert time.monotonic() - started < 5
    eventually(lambda: is_gone(int(file.read_text())), what="the child to end")


def test_a_tool_ends_with_its_children_when_its_caller_is_interrupted(tmp_path: Path, interrupt_after_s) -> None:
    file = tmp_path / "pid"
    interrupt_after_s(0.5)
    with pytest.raises(InterruptedByTestError):
        run(["sh", "-c", FAMILY.format(file=file)], timeout_s=60)
    eventually(lambda: is_gone(int(file.read_text())), what="the child to end")


def test_a_failure_is_one_sentence_with_the_tools_last_words() -> None:
    with pytest.raises(ToolFailedError, match=r"^sh ended with code 3: it is broken$"):
        run(["sh", "-c", "echo it is; echo it is broken >&2; exit 3"], timeout_s=10)
    with pytest.raises(ToolFailedError, match=r"^no-such-tool cannot be started: No such file or directory$"):
        run(["/no-such-tool"], timeout_s=10)
    assert run(["sh", "-c", "echo found; exit 1"], timeout_s=10, good=(0, 1)) == "found\n"


def test_a_tool_sees_nothing_of_the_caller_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "x")
    script = "import os, pathlib; pathlib.Path('made').touch(); print(os.getcwd(), *sorted(os.environ), sep='\\n')"
    scratch, *names = run([sys.executable, "-c", script], timeout_s=30).splitlines()
    assert not Path(scratch).exists()
    assert "SHOP_PASSWORD" not in names
    assert {"HOME", "TMPDIR", "PYTHONDONTWRITEBYTECODE"} <= set(names)


def test_a_tool_is_told_what_to_read() -> None:
    text = "Grüße 🐝\n" * 50_000
    assert run(["cat"], timeout_s=10, stdin=text) == text


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=50), st.integers(1, 64))
def test_batches_keep_every_path_in_order_and_fit(paths: list[str], limit_bytes: int) -> None:
    found = list(batches(paths, limit_bytes))
    assert [path for batch in found for path in batch] == paths
    for batch in found:
        assert len(batch) == 1 or sum(len(os.fsencode(path)) + 1 for path in batch) <= limit_bytes
