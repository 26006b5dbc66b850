"""The command lines for Celery, and the plan of a whole hive."""

import sys
from pathlib import Path

import pytest

from hive import Hive, load_settings
from hive.agents import load_registry
from hive.errors import InputError, SettingsError, UnknownAgentTypeError
from hive.runtime.defaults import CONSOLIDATION_QUEUES
from hive.runtime.loading import load_app
from hive.runtime.supervision.celery_arguments import worker_arguments
from hive.runtime.supervision.flower import flower_environ
from hive.runtime.supervision.plan import HivePlan, decode, encode, part_plans, queues_of, worker_parts

TYPES = load_registry({"bug_hunter": {"concurrency": {"minimum": 2, "maximum": 3}, "pool": "threads"}})


def test_a_worker_has_its_types_queue_slots_and_name() -> None:
    arguments = worker_arguments(TYPES["bug_hunter"], ["celery"])
    assert arguments[0] == "worker"
    assert {
        "--queues=agent.bug_hunter",
        "--hostname=bug_hunter@%h",
        "--pool=threads",
        "--concurrency=2",
    } <= set(arguments)


def test_the_fallback_takes_the_default_queue_too_and_further_options_come_last() -> None:
    arguments = worker_arguments(TYPES.fallback, ["celery"], concurrency=3, more=("--without-mingle",))
    assert "--queues=agent.general_developer,celery" in arguments
    assert "--concurrency=3" in arguments
    assert arguments[-1] == "--without-mingle"


def test_the_default_applications_fallback_pool_serves_the_queues_of_its_own_tasks() -> None:
    app = load_app("hive.runtime.default_app:app")
    app.loader.import_default_modules()
    own = {task.queue for name, task in app.tasks.items() if name.startswith("hive.consolidation.")}
    assert own == set(CONSOLIDATION_QUEUES)
    served = queues_of(app, app.agent_types.fallback)
    assert {*own, app.conf.task_default_queue} < set(served)
    (fallback,) = worker_parts(app, HivePlan(), app.agent_types.fallback, 1)
    assert f"--queues={','.join(served)}" in fallback.arguments
    assert CONSOLIDATION_QUEUES[0] not in queues_of(Hive("t", set_as_current=False), app.agent_types.fallback)


def test_children_are_replaced_above_what_was_declared_and_not_above_a_starting_value() -> None:
    declared = load_registry({"bug_hunter": {"needs": {"memory_mb": 700}}})["bug_hunter"]
    assert f"--max-memory-per-child={700 * 1024}" in worker_arguments(declared, ["celery"])
    assert not any("--max-memory" in argument for argument in worker_arguments(TYPES["code_reviewer"], ["celery"]))


@pytest.mark.parametrize("slots", [0, 1, 4])
def test_slots_outside_the_range_are_refused(slots: int) -> None:
    with pytest.raises(InputError, match=r"range of bug_hunter, 2 to 3"):
        worker_arguments(TYPES["bug_hunter"], ["celery"], concurrency=slots)


def test_the_slots_of_a_whole_hive_are_brought_into_each_types_range() -> None:
    app = Hive("t", agent_types=TYPES, set_as_current=False)
    plans = {plan.name: plan for plan in part_plans(app, HivePlan(slots=20, beat=False))}
    assert plans["bug_hunter"].slots == 3
    assert plans["code_reviewer"].slots == 8
    assert list(plans) == list(TYPES)
    assert [plan.name for plan in part_plans(app, HivePlan(agent_types=("code_reviewer",)))] == [
        "code_reviewer",
        "beat",
    ]
    with pytest.raises(UnknownAgentTypeError):
        part_plans(app, HivePlan(agent_types=("code_reviewr",)))


def test_a_plan_survives_a_command_line() -> None:
    plan = HivePlan(agent_types=("bug_hunter",), slots=2, beat=False, until_unused=True)
    assert decode(encode("shop:app", plan)) == ("shop:app", plan)
    assert decode(encode("shop:app", HivePlan())) == ("shop:app", HivePlan())


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("no_such_module:app", "cannot be imported"),
        ("celery:Celery", r"not a hive\.Hive"),
        ("hive:nothing", "module 'hive' has no attribute 'nothing'"),
    ],
)
def test_what_is_no_application_is_said(path: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_app(path)


def test_an_application_that_cannot_be_read_is_said_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_with_a_slip.py").write_text("x = 1\ndef f(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(InputError, match=r"cannot be imported: SyntaxError: .*shop_with_a_slip\.py, line 2"):
        load_app("shop_with_a_slip")


def test_flower_always_asks_for_a_login(tmp_path: object) -> None:
    settings = load_settings(home=tmp_path)
    made = flower_environ(settings, {"FLOWER_UNAUTHENTICATED_API": "true", "PATH": "x"})
    assert made["FLOWER_BASIC_AUTH"].startswith("hive:")
    assert len(made["FLOWER_BASIC_AUTH"]) > 30
    assert "FLOWER_UNAUTHENTICATED_API" not in made
    assert flower_environ(settings, {})["FLOWER_BASIC_AUTH"] == made["FLOWER_BASIC_AUTH"]
    assert flower_environ(settings, {"FLOWER_BASIC_AUTH": "me:too"})["FLOWER_BASIC_AUTH"] == "me:too"
    with pytest.raises(SettingsError, match="user:password"):
        flower_environ(settings, {"FLOWER_BASIC_AUTH": "secret"})
