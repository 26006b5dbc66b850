"""A hive for the length of a ``with`` block: started or joined, and gone with its last user."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hive import ensure_running
from tests.support.eventually import eventually
from tests.support.hive_home import ROOT, HiveHome

pytestmark = pytest.mark.acceptance


class User:
    """One process of ``tests.support.hive_user``."""

    def __init__(self, home: HiveHome) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.hive_user"],
            cwd=ROOT,
            env=home.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, number: signal.Signals | None = None) -> int:
        """Let it go on, or send it a signal; return its exit code."""
        if number is None:
            self.process.communicate("\n", timeout=200)
            return self.process.returncode
        # Its input stays open: an end of it would let it go on, too.
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.communicate()
        return code


def test_the_last_user_stops_it_even_if_the_one_who_started_it_was_killed(hive_home: HiveHome) -> None:
    first = User(hive_home)
    assert first.said() == "True 5"
    second = User(hive_home)
    assert second.said() == "False 5"
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    third = User(hive_home)
    assert third.said() == "False 5"
    assert second.end() == 0
    assert hive_home.until_ready().owns_broker
    assert third.end() == 0
    eventually(lambda: hive_home.processes() == [], what="nothing is left")


def test_ctrl_c_stops_it(hive_home: HiveHome) -> None:
    user = User(hive_home)
    assert user.said() == "True 5"
    assert user.end(signal.SIGINT) != 0
    assert hive_home.processes() == []


def test_an_interrupt_while_the_supervisor_is_being_started_leaves_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setenv("HIVE_HOME", str(tmp_path / "home"))
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", Interrupted)
        with pytest.raises(KeyboardInterrupt), ensure_running():
            raise AssertionError("it was interrupted before it served")
    assert [process.poll() is None for process in started] == [False]


def test_a_running_hive_is_joined_and_stays(hive_home: HiveHome) -> None:
    assert hive_home.run("up", "--detach", "--no-beat").returncode == 0
    user = User(hive_home)
    assert user.said() == "False 5"
    assert user.end() == 0
    report = hive_home.until_ready()
    other = hive_home.run(
        "review", str(ROOT / "hive" / "agents"), "--output", str(hive_home.path / "report"), HIVE_APP=""
    )
    assert other.returncode != 0
    assert f"serves {report.app}" in other.stderr
    assert other.stderr.endswith("; --serial does the same without a hive\n")
