"""The processes of workers and of beat load what they need, and their command line is Celery's."""

import json
import subprocess
import sys

import pytest

from hive import Hive
from hive.runtime import lean_commands
from tests.support.redis_server import RedisServer

WORKER = """
import json, sys
from celery.signals import worker_ready
from celery.worker import state
from hive import Hive

app = Hive("lean", broker=sys.argv[1], set_as_current=False)
app.conf.update(worker_pool="hive.pools:AsyncioPool", worker_hijack_root_logger=False)

@worker_ready.connect
def ready(sender, **_):
    print(json.dumps({"slots": sender.pool.num_processes, "loaded": sorted(sys.modules)}), file=sys.__stdout__, flush=True)
    state.should_stop = 3

app.worker_main(["worker", "-c", "7", "-l", "error"])
"""

#: Other commands of Celery's, and what they need.
OF_OTHERS = {
    "celery.bin.celery",
    "click_repl",
    "prompt_toolkit",
    "flower",
    "tornado",
    "prometheus_client",
    "pydantic_settings",
}


@pytest.mark.acceptance
def test_a_worker_loads_nothing_that_only_other_commands_need(redis_server: RedisServer) -> None:
    command = [sys.executable, "-c", WORKER, redis_server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"slots"')]
    assert lines, done.stderr
    found = json.loads(lines[0])
    assert found["slots"] == 7
    assert set(found["loaded"]) & OF_OTHERS == set()


@pytest.mark.parametrize(
    ("arguments", "variable", "is_plain"),
    [
        (["worker", "-c", "2"], "", True),
        (["--quiet", "worker"], "", False),
        (["beat"], "", True),
        (["flower"], "", False),
        ([], "", False),
        (["worker"], "BROKER_URL", False),
        (["worker"], "NO_COLOR", False),
    ],
)
def test_what_comes_before_the_command_is_left_to_celery(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], variable: str, is_plain: bool
) -> None:
    for name in lean_commands.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    app = Hive("lean", broker="redis://", set_as_current=False)
    assert lean_commands.is_plain(app, arguments) is is_plain


def test_options_that_the_application_declares_are_left_to_celery() -> None:
    app = Hive("lean", broker="redis://", set_as_current=False)
    app.user_options["worker"].add("an option")
    assert not lean_commands.is_plain(app, ["worker"])
