"""A unit whose tool fails, hangs, kills its process or finds no pool costs that unit; the review goes on."""

import importlib
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest

from hive import Hive, SystemClock, ensure_running
from hive.runtime.home import Home
from hive.runtime.supervision.fleet import RunningHive
from hive.runtime.supervision.state import read_report
from tests.support.redis_server import RedisServer
from workers.findings import Outcome, Unit
from workers.review import Review
from workers.serial import run_serially
from workers.steps import Ended, State, Step
from workers.task import AgentTask

APPLICATION = "tests.support.faulty_agents"


class Log:
    """A watch that keeps what it is told."""

    def __init__(self) -> None:
        self.agents: list[str] = []
        self.states: list[State] = []

    def planned(self, steps: Any) -> None:
        self.agents = [step.agent for step in steps]

    def running(self, counts: dict[str, int]) -> None:
        assert all(count > 0 for count in counts.values())

    def ended(self, ended: Ended) -> None:
        self.states.append(ended.state)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def faulty(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application; it reads where its home is when it is imported, as the processes of its pools do."""
    monkeypatch.setenv("HIVE_HOME", str(home))
    return importlib.import_module(APPLICATION)


def steps_of(faulty: Any, *wanted: tuple[str, Any, str]) -> list[Step]:
    return [Step(agent=agent, task=task, unit=Unit(root="/nowhere", files=(name,))) for agent, task, name in wanted]


@pytest.mark.slow
def test_each_fault_costs_its_unit_only(faulty: Any) -> None:
    steps = steps_of(
        faulty,
        ("code_reviewer", faulty.review, "a.py"),
        ("code_reviewer", faulty.review, "raises.py"),
        ("code_reviewer", faulty.review, "hangs.py"),
        ("code_reviewer", faulty.review, "b.py"),
        ("bug_hunter", faulty.hunt, "dies.py"),
        ("bug_hunter", faulty.hunt, "c.py"),
        ("test_engineer", faulty.unserved, "d.py"),
    )
    log = Log()
    with ensure_running(f"{APPLICATION}:app", agent_types=("code_reviewer", "bug_hunter")) as running:
        course = Review(running.app, steps, log, margin_s=4.0).run()

    by_file = {ended.step.unit.files[0]: ended for ended in course.ended}
    assert [ended.step for ended in course.ended] == steps, "in the order of the plan"
    assert not course.interrupted
    assert {name: by_file[name].state for name in by_file} == {
        "a.py": State.DONE,
        "raises.py": State.FAILED,
        "hangs.py": State.TIMED_OUT,
        "b.py": State.DONE,
        "dies.py": State.FAILED,
        "c.py": State.DONE,
        "d.py": State.LOST,
    }
    assert by_file["raises.py"].reason == "ValueError: a tool said no"
    assert "1.5 s" in by_file["hangs.py"].reason
    assert "signal 9" in by_file["dies.py"].reason
    assert "no sign" in by_file["d.py"].reason
    assert [by_file[name].outcome.findings[0].path for name in ("a.py", "b.py", "c.py")] == ["a.py", "b.py", "c.py"]
    for name in ("a.py", "hangs.py"):
        run = by_file[name].run
        assert run is not None
        assert run.worker.startswith("code_reviewer@")
        assert run.pid > 0
        assert run.started_at_ms <= run.finished_at_ms
    assert len(log.states) == len(steps)


class Impatient(Log):
    """A watch that interrupts as soon as anything runs, as Ctrl-C does."""

    def running(self, counts: dict[str, int]) -> None:
        if counts:
            raise KeyboardInterrupt


def only_hunters(told: list[str]) -> AbstractContextManager[RunningHive]:
    """A hive with one slot for bug hunters, which notes the stages of its start and stop."""
    return ensure_running(
        f"{APPLICATION}:app", agent_types=("bug_hunter",), slots=1, on_progress=lambda step: told.append(step.stage)
    )


@pytest.mark.slow
def test_a_stopped_review_waits_for_nothing_and_leaves_nothing_to_the_next(faulty: Any, home: Path) -> None:
    hanging = steps_of(faulty, *[("bug_hunter", faulty.hunt, "hangs.py")] * 3)
    clock, told = SystemClock(), []
    with suppress(KeyboardInterrupt), only_hunters(told) as running:
        course = Review(running.app, hanging, Impatient()).run()
        interrupted_at_s = clock.monotonic_s()
        raise KeyboardInterrupt
    assert course.interrupted
    assert {ended.state for ended in course.ended} == {State.REVOKED}
    assert clock.monotonic_s() - interrupted_at_s < running.app.settings.worker.grace_s / 2
    assert told[-2:] == ["stopping", "stopped"]
    assert read_report(Home(home)) is None

    (step,) = steps_of(faulty, ("bug_hunter", faulty.hunt, "c.py"))
    with only_hunters(told) as running:
        sent_at_s = clock.monotonic_s()
        assert [ended.state for ended in Review(running.app, [step], Log()).run().ended] == [State.DONE]
        took_s = clock.monotonic_s() - sent_at_s
    assert took_s < 30, "a hanging step of the stopped review did not run again"


def test_serially_an_error_costs_its_unit_only(faulty: Any) -> None:
    steps = steps_of(faulty, ("code_reviewer", faulty.review, "raises.py"), ("code_reviewer", faulty.review, "a.py"))
    course = run_serially(steps, Log())
    assert [(ended.state, ended.reason) for ended in course.ended] == [
        (State.FAILED, "ValueError: a tool said no"),
        (State.DONE, ""),
    ]


class Cutting(Log):
    """A watch that takes the broker away at the first look."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self._server = server

    def running(self, counts: dict[str, int]) -> None:
        self._server.stop(kill=True)


@pytest.mark.slow
@pytest.mark.parametrize("before_sending", [True, False], ids=["before sending", "while waiting"])
def test_a_broker_that_goes_away_ends_the_review_with_what_it_has(own_redis: RedisServer, before_sending: bool) -> None:
    app = Hive("alone", broker=own_redis.url, backend=own_redis.url)
    app.conf.result_backend_transport_options = {"retry_policy": {"max_retries": 1, "interval_max": 0.1}}
    app.conf.task_publish_retry_policy = {"max_retries": 1, "interval_max": 0.1}

    @app.task(base=AgentTask, agent_type="code_reviewer", name="alone.review", pydantic=True)
    def review(unit: Unit) -> Outcome:
        return Outcome(agent="code_reviewer")

    steps = [
        Step(agent="code_reviewer", task=review, unit=Unit(root="/nowhere", files=(name,))) for name in ("a.py", "b.py")
    ]
    if before_sending:
        own_redis.stop(kill=True)
    course = Review(app, steps, Cutting(own_redis)).run()
    assert [ended.state for ended in course.ended] == [State.LOST, State.LOST]
    assert all("the broker" in ended.reason for ended in course.ended)
