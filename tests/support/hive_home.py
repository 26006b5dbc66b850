"""A hive's home of a test's own, and the command ``hive`` run in it."""

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil

from hive.runtime.home import Home
from hive.runtime.supervision.state import HiveReport, read_report
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
HIVE = str(Path(sys.executable).with_name("hive"))
SMALL = "tests.support.small_hive:app"


class HiveHome:
    """Commands that share one home; whatever still runs in it is ended at the end.

    Args:
        path: an empty directory.
        environ: further variables of every command.
    """

    def __init__(self, path: Path, **environ: str) -> None:
        self.path = path
        self.home = Home(path)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HIVE_", "FLOWER_"))}
        self.environ = {**kept, "HIVE_HOME": str(path), "HIVE_APP": SMALL, "COLUMNS": "200", **environ}
        self._started: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run ``hive ARGUMENTS`` to its end."""
        command = [HIVE, *arguments]
        environ = {name: value for name, value in {**self.environ, **environ}.items() if value}
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=200, check=False)

    def start(
        self, *command: str, cwd: Path = ROOT, log: Path | None = None, **environ: str
    ) -> "subprocess.Popen[str]":
        """Start a command (``hive`` as the first word means ours) and return at once.

        Args:
            command: its words.
            cwd: where.
            log: file for what it prints; a pipe if not given.
            environ: further variables; an empty one is left out.
        """
        words = [HIVE if command[0] == "hive" else command[0], *command[1:]]
        variables = {name: value for name, value in {**self.environ, **environ}.items() if value}
        with log.open("w") if log else nullcontext(subprocess.PIPE) as output:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._started.append(process)
        return process

    def status(self) -> dict[str, Any]:
        """Return what ``hive status --json`` prints."""
        seen: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return seen

    def report(self) -> HiveReport | None:
        """Return the report of the supervisor that lives, if one does."""
        return read_report(self.home)

    def until_ready(self, timeout_s: float = 40.0) -> HiveReport:
        """Return the supervisor's report once every part serves."""
        ready = eventually(
            lambda: (seen := self.report()) and seen.is_ready and seen, timeout_s, what="all parts serve"
        )
        assert isinstance(ready, HiveReport)
        return ready

    def processes(self) -> list[psutil.Process]:
        """Return every process that names this home."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def close(self) -> None:
        """End everything of this home by its process number."""
        # The latest first: a broker among them ends after those that use it.
        for process in reversed(self._started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self._started):
            process.wait(60)
        if self.processes():
            self.run("down")
        left = self.processes()
        for process in left:
            process.kill()
        for started in self._started:
            started.wait(60)
            if started.stdout is not None:
                started.stdout.close()
        assert not left, f"left behind: {left}"

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # The broker writes its title over its environment.
            return process.environ().get("HIVE_HOME") == str(self.path) or str(self.path) in " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
