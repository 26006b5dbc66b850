"""Ctrl-C while the command is still being imported."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_it_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "celery.py").write_text("print('importing', flush=True)\ninput()\n")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = subprocess.Popen(
        [sys.executable, "-c", "from hive_command import main; main()"],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "importing\n"
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=30)
    assert said == "hive: stopped by Ctrl-C before it was done\n"
    assert command.returncode == 130


def test_the_command_begins_where_it_is_taken() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"hive": "hive_command:main"}
    assert "hive_command.py" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
