"""Which retry strategy a task has, and what it makes of a failure where no worker is."""

import pytest

from hive import AdaptiveRetry, ExponentialRetry, Hive, ImmediateRetry, LinearRetry, Settings
from hive.errors import SettingsError
from hive.resilience.declaration import strategy_of
from hive.settings.parts import RetrySettings

NOWHERE = "redis://127.0.0.1:1"


def build(**settings: object) -> Hive:
    agents = {"tuner": {"retry": {"strategy": "linear", "base_s": 3.0}}}
    return Hive("app", broker=NOWHERE, settings=Settings(**{"agents": agents, **settings}), set_as_current=False)


def test_a_tasks_own_strategy_comes_before_its_agent_types() -> None:
    app = build()

    def body() -> None:
        """Do nothing."""

    def strategy(**options: object) -> object:
        return app.task(name=f"t{options}", shared=False, **options)(body).retry_strategy

    assert strategy() is None
    assert strategy(retry="adaptive") == AdaptiveRetry()
    assert strategy(retry=ExponentialRetry(base_s=2)) == ExponentialRetry(base_s=2)
    assert strategy(agent_type="tuner") == LinearRetry(base_s=3.0)
    assert strategy(agent_type="tuner", retry="immediate") == ImmediateRetry()
    assert strategy(agent_type="tuner", retry=False) is None


def test_an_unknown_strategy_or_cause_is_an_error_with_a_suggestion() -> None:
    app = build()
    app.task(name="t", shared=False, retry="adaptve")(build)
    with pytest.raises(SettingsError, match="did you mean 'adaptive'"):
        app.finalize()
    with pytest.raises(SettingsError, match="retry=5: write a strategy"):
        strategy_of(5)
    with pytest.raises(SettingsError, match="did you mean 'network'"):
        build(retries=RetrySettings(causes={"shop.Gone": "netwrk"}))
    with pytest.raises(SettingsError, match="did you mean 'base_s'"):
        build(agents={"tuner": {"retry": {"strategy": "linear", "bas_s": 1}}})


def test_an_eager_task_follows_its_strategy() -> None:
    app = build(retries=RetrySettings(causes={"builtins.LookupError": "validation"}))
    seen: list[int] = []

    @app.task(name="eager", bind=True, shared=False, retry=ImmediateRetry(max_retries=2))
    def eager(self, error):
        seen.append(self.request.retries)
        raise error

    result = eager.apply((ConnectionError("x"),))
    assert seen == [0, 1, 2]
    assert isinstance(result.result, ConnectionError)
    seen.clear()
    assert "no retry, cause validation" in eager.apply((KeyError("x"),)).traceback
    assert seen == [0]


def test_a_direct_call_raises_what_the_body_raised() -> None:
    app = build()

    @app.task(name="direct", shared=False, retry="immediate")
    def direct():
        raise ConnectionError("x")

    with pytest.raises(ConnectionError):
        direct()
