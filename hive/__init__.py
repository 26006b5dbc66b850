"""hive: Celery for fleets of AI agents, with one worker pool for each agent type and tasks that are never lost.

>>> from hive import Hive
>>> app = Hive("shop")
>>> @app.task(agent_type="code_reviewer")
... def review(path): ...
>>> review.delay("src")  # doctest: +SKIP
"""

from celery import shared_task

from hive.agents.lifecycle import AgentState
from hive.agents.sleep_policy import SleepPolicy
from hive.agents.types import AgentType, Capability, Concurrency, Resources
from hive.agents.windows import SleepWindow
from hive.clock import SystemClock
from hive.errors import (
    ArgumentsRefusedError,
    BreakerOpenError,
    DeadLetteredError,
    DeadlineExceededError,
    GuardRefusedError,
    HiveError,
    InputError,
    LimitedError,
    QueueFull,
)
from hive.guards.breaker import Breaker
from hive.guards.fallback import Default, Fallback, LastGood, OtherAgent
from hive.resilience.budget import RetryBudget
from hive.resilience.causes import Cause
from hive.resilience.limiter import Limit
from hive.resilience.strategies import (
    AdaptiveRetry,
    BatchedRetry,
    ExponentialRetry,
    FibonacciRetry,
    ImmediateRetry,
    LinearRetry,
    PriorityRetry,
    RetryStrategy,
)
from hive.runtime.app import Hive
from hive.runtime.calling.unique import Unique
from hive.runtime.durable.task import Durable, EventTimeoutError, StepUnknownError
from hive.runtime.loading import load_app
from hive.runtime.supervision.fleet import RunningHive, ensure_running
from hive.runtime.supervision.session import StartProgress
from hive.runtime.task import HiveTask
from hive.settings.load import load_settings
from hive.settings.model import Settings
from hive.settings.parts import BreakerSettings
from hive.store.faults import BatchPublishError

__all__ = [
    "AdaptiveRetry",
    "AgentState",
    "AgentType",
    "ArgumentsRefusedError",
    "BatchPublishError",
    "BatchedRetry",
    "Breaker",
    "BreakerOpenError",
    "BreakerSettings",
    "Capability",
    "Cause",
    "Concurrency",
    "DeadLetteredError",
    "DeadlineExceededError",
    "Default",
    "Durable",
    "EventTimeoutError",
    "ExponentialRetry",
    "Fallback",
    "FibonacciRetry",
    "GuardRefusedError",
    "Hive",
    "HiveError",
    "HiveTask",
    "ImmediateRetry",
    "InputError",
    "LastGood",
    "Limit",
    "LimitedError",
    "LinearRetry",
    "OtherAgent",
    "PriorityRetry",
    "QueueFull",
    "Resources",
    "RetryBudget",
    "RetryStrategy",
    "RunningHive",
    "Settings",
    "SleepPolicy",
    "SleepWindow",
    "StartProgress",
    "StepUnknownError",
    "SystemClock",
    "Unique",
    "ensure_running",
    "load_app",
    "load_settings",
    "shared_task",
]
