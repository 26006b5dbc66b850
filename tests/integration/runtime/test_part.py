"""A part in an interpreter of its own, as on macOS: it says when it serves, and ends with its supervisor."""

import os
from pathlib import Path

import pytest

from hive import Hive
from hive.agents import load_registry
from hive.runtime.supervision.celery_arguments import worker_arguments
from hive.runtime.supervision.part import Part
from hive.runtime.supervision.part_plan import PartPlan
from hive.runtime.supervision.restart import Backoff
from hive.runtime.supervision.state import PartState
from tests.support.hive_home import ROOT, SMALL
from tests.support.redis_server import RedisServer


def test_a_spawned_part_serves_and_ends_with_its_lifeline(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HIVE_BROKER_URL", redis_server.url)
    monkeypatch.setenv("HIVE_BROKER_KEY_PREFIX", "spawned-")
    arguments = worker_arguments(load_registry()["code_reviewer"], ["celery"], pool="solo")
    heard, lifeline = os.pipe()
    part = Part(
        PartPlan(name="code_reviewer", arguments=tuple(arguments), slots=1),
        app=Hive("unused", set_as_current=False),
        app_path=SMALL,
        log=tmp_path / "part.log",
        backoff=Backoff(5.0),
        lifeline=heard,
        in_child=lambda: None,
    )
    part.forks = False
    readiness = part.start()
    assert part.process_id is not None
    try:
        assert os.read(readiness, 100) == b"ready\n", (tmp_path / "part.log").read_text()
        part.heard_ready(1.0)
        assert part.report().state is PartState.READY
    finally:
        os.close(lifeline)
        _, status = os.waitpid(part.process_id, 0)
        os.close(heard)
        os.close(readiness)
    part.ended(status, now_s=2.0)
    report = part.report()
    assert (report.state, report.last_end, report.process_id) == (PartState.WAITING, "exit code 0", None)
    assert part.start_at_s == 2.5
    assert "Warm shutdown" in (tmp_path / "part.log").read_text()
