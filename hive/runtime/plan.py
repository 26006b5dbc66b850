"""What a supervisor is to run."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from hive.agents.builtin import FALLBACK
from hive.agents.types import AgentType
from hive.runtime.app import Hive
from hive.runtime.celery_arguments import beat_arguments, flower_arguments, slots_within, worker_arguments
from hive.runtime.flower import BASIC_AUTH, flower_environ
from hive.runtime.home import Home
from hive.runtime.part import PartPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class HivePlan:
    """What to run, as a command asked for it.

    Attributes:
        agent_types: names of the types whose pools are wanted; none: all types of the application.
        slots: of each pool, as far as its type allows; none: ``fleet.slots``.
        beat: whether beat runs; none: ``fleet.beat``.
        flower: whether Flower runs.
        until_unused: whether to end once no command uses the hive any more.
    """

    agent_types: tuple[str, ...] | None = None
    slots: int | None = None
    beat: bool | None = None
    flower: bool = False
    until_unused: bool = False


def encode(app_path: str, plan: HivePlan) -> str:
    """Return application and plan as one word of a command line."""
    return json.dumps({"app": app_path, **asdict(plan)})


def decode(word: str) -> tuple[str, HivePlan]:
    """Return what :func:`encode` was given."""
    fields = json.loads(word)
    app_path, types = fields.pop("app"), fields.pop("agent_types")
    return app_path, HivePlan(agent_types=None if types is None else tuple(types), **fields)


def part_plans(app: Hive, plan: HivePlan) -> list[PartPlan]:
    """Return the parts of a hive: pools in the order of their types, then beat and Flower.

    Raises:
        UnknownAgentTypeError: a type that nobody declared is wanted.
        SettingsError: Flower's login is malformed.
    """
    settings = app.settings
    slots = settings.fleet.slots if plan.slots is None else plan.slots
    # A number of slots that somebody asked for is kept.
    is_asked = plan.slots is not None or "slots" in settings.fleet.model_fields_set
    elastic = settings.scaling.slots and not is_asked
    types = [agent for agent in wanted_types(app, plan.agent_types) if slots_within(agent, slots)]
    parts = [_pool(app, agent, slots, elastic) for agent in types]
    if settings.fleet.beat if plan.beat is None else plan.beat:
        parts.append(PartPlan(name="beat", arguments=tuple(beat_arguments(Home(settings.home.absolute())))))
    if plan.flower:
        login = flower_environ(settings).get(BASIC_AUTH)
        parts.append(
            PartPlan(
                name="flower",
                arguments=tuple(flower_arguments(settings.fleet.flower_port)),
                environ=((BASIC_AUTH, login),) if login else (),
                port=settings.fleet.flower_port,
            )
        )
    return parts


def wanted_types(app: Hive, names: Iterable[str] | None) -> list[AgentType]:
    """Return the agent types of those names, or all of the application.

    Raises:
        UnknownAgentTypeError: nobody declared one of them.
    """
    if names is None:
        return list(app.agent_types.values())
    return [app.agent_types.require(name) for name in dict.fromkeys(names)]


def queues_of(app: Hive, agent: AgentType) -> tuple[str, ...]:
    """Return the queues that a pool of that type consumes."""
    return (agent.queue, app.conf.task_default_queue) if agent.name == FALLBACK else (agent.queue,)


def _pool(app: Hive, agent: AgentType, slots: int, follows_demand: bool) -> PartPlan:
    size = slots_within(agent, slots)
    arguments = worker_arguments(agent, app.conf.task_default_queue, concurrency=size, follows_demand=follows_demand)
    return PartPlan(name=agent.name, arguments=tuple(arguments), slots=size, queues=queues_of(app, agent))
