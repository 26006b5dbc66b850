"""The application: hive's defaults, the user's own settings above them, and routing by agent type."""

import pickle
from typing import Any

import celery
import pytest
from kombu import Queue

from hive import Hive, load_settings
from hive.errors import UnknownAgentTypeError


def route(app: celery.Celery, task: Any, **options: Any) -> str:
    return app.amqp.router.route(options, task.name, (), {}, task)["queue"].name


def test_defaults_are_safe_ones() -> None:
    conf = Hive("t", set_as_current=False).conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.accept_content == ["json"]
    assert conf.task_serializer == conf.result_serializer == "json"
    assert conf.worker_send_task_events
    assert conf.enable_utc
    assert conf.result_expires == 86_400


def test_what_the_user_configures_wins() -> None:
    app = Hive("t", broker="redis://elsewhere/3", set_as_current=False, task_acks_late=False)
    app.conf.update(result_expires=5)
    assert app.conf.broker_url == "redis://elsewhere/3"
    assert not app.conf.task_acks_late
    assert app.conf.result_expires == 5


class Configured:
    """What a ``celeryconfig.py`` may say."""

    broker_url = "redis://elsewhere/3"
    timezone = "Europe/Berlin"
    task_acks_late = False


@pytest.mark.parametrize("is_read_before", [False, True])
def test_what_a_configuration_object_says_wins_and_the_rest_is_hives(is_read_before: bool) -> None:
    app = Hive("t", set_as_current=False)
    if is_read_before:
        assert app.conf.task_acks_late
    seen = list[Any]()
    app.on_after_configure.connect(lambda sender, **_: seen.append(sender.conf.timezone), weak=False)
    app.config_from_object(Configured)
    assert (app.conf.broker_url, app.conf.timezone) == ("redis://elsewhere/3", "Europe/Berlin")
    assert not app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert seen[-1:] == ["Europe/Berlin"]
    app.conf.timezone = "Asia/Tokyo"
    assert app.conf.timezone == "Asia/Tokyo"


def test_a_task_goes_to_the_pool_of_its_agent_type() -> None:
    app = Hive("t", set_as_current=False)

    @app.task(shared=False, agent_type="code_reviewer")
    def review() -> None: ...

    @app.task(shared=False)
    def plain() -> None: ...

    assert route(app, review) == "agent.code_reviewer"
    assert route(app, review, queue="elsewhere") == "elsewhere"
    assert route(app, review, agent_type="bug_hunter") == "agent.bug_hunter"
    assert route(app, plain) == "celery"


def test_the_users_own_routes_come_first() -> None:
    app = Hive("t", set_as_current=False, task_routes={"t.special": {"queue": "special"}})

    @app.task(shared=False, agent_type="code_reviewer", name="t.special")
    def special() -> None: ...

    @app.task(shared=False, agent_type="code_reviewer", name="t.other")
    def other() -> None: ...

    assert route(app, special) == "special"
    assert route(app, other) == "agent.code_reviewer"


def test_a_task_for_an_unknown_agent_type_is_an_error_where_it_is_defined() -> None:
    app = Hive("t", set_as_current=False)
    with pytest.raises(UnknownAgentTypeError, match=r"task 't\.oops' .*'code_reviewr'.*'code_reviewer'"):

        @app.task(shared=False, agent_type="code_reviewr", name="t.oops")
        def oops() -> None: ...


def test_an_eleventh_type_from_the_settings_has_a_queue() -> None:
    settings = load_settings(agents={"sql_tuner": {}})
    app = Hive("t", settings=settings, set_as_current=False)

    @app.task(shared=False, agent_type="sql_tuner")
    def tune() -> None: ...

    assert route(app, tune) == "agent.sql_tuner"
    assert isinstance(app.amqp.queues["agent.sql_tuner"], Queue)


def test_an_application_survives_pickling() -> None:
    app = Hive("t", settings=load_settings(agents={"sql_tuner": {}}), set_as_current=False)
    assert "sql_tuner" in pickle.loads(pickle.dumps(app)).agent_types


def test_results_go_to_the_broker_the_application_has() -> None:
    assert Hive("own", broker="redis://elsewhere:7000/3").backend.as_uri().startswith("redis://elsewhere:7000/3")
    assert (
        Hive("both", broker="redis://elsewhere:7000/3", backend="redis://results/1").backend.as_uri()
        == "redis://results/1"
    )


def test_another_application_need_not_know_the_agent_types_of_this_one() -> None:
    one = Hive("one", settings=load_settings(agents={"sql_tuner": {}}), set_as_current=False)

    @one.task(agent_type="sql_tuner", name="one.tune")
    def tune() -> None: ...

    other = Hive("other", set_as_current=False)
    other.finalize()
    assert "one.tune" in one.tasks
    assert "one.tune" not in other.tasks


def test_the_time_limits_of_an_agent_type_are_its_tasks_unless_they_have_their_own() -> None:
    app = Hive("t", set_as_current=False)

    @app.task(shared=False, agent_type="code_reviewer")
    def review() -> None: ...

    @app.task(shared=False, agent_type="code_reviewer", time_limit=5)
    def glance() -> None: ...

    @app.task(shared=False)
    def plain() -> None: ...

    assert (review.time_limit, review.soft_time_limit) == (300, 270)
    assert (glance.time_limit, glance.soft_time_limit) == (5, None)
    assert (plain.time_limit, plain.soft_time_limit) == (None, None)


def test_a_call_for_an_unknown_agent_type_is_an_error_that_names_the_nearest() -> None:
    app = Hive("t", set_as_current=False)

    @app.task(shared=False)
    def plain() -> None: ...

    with pytest.raises(UnknownAgentTypeError, match="did you mean 'bug_hunter'"):
        route(app, plain, agent_type="bug_hunte")
