"""What a supervisor is to run."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from hive.agents.builtin import FALLBACK
from hive.agents.types import AgentType
from hive.runtime.app import Hive
from hive.runtime.defaults import CONSOLIDATION, CONSOLIDATION_QUEUES
from hive.runtime.home import Home
from hive.runtime.supervision.celery_arguments import beat_arguments, flower_arguments, slots_within, worker_arguments
from hive.runtime.supervision.flower import BASIC_AUTH, flower_environ
from hive.runtime.supervision.part_plan import SCALER, PartPlan


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
    types = [agent for agent in wanted_types(app, plan.agent_types) if slots_within(agent, slots)]
    parts = [part for agent in types for part in worker_parts(app, plan, agent, least_workers(agent))]
    scaled = () if plan.until_unused else tuple(agent.name for agent in types if agent.workers.maximum > 1)
    if scaled:
        kept = 0 if _follows_demand(app, plan) else slots
        parts.append(PartPlan(name=SCALER, arguments=(SCALER, str(kept), *scaled)))
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
    return (agent.queue, *untyped_queues(app)) if agent.name == FALLBACK else (agent.queue,)


def untyped_queues(app: Hive) -> tuple[str, ...]:
    """Return the queues of tasks without an agent type: the default one, and consolidation's if the application has it."""
    modules = {*app.conf.include, *app.conf.imports}
    return (app.conf.task_default_queue, *(CONSOLIDATION_QUEUES if CONSOLIDATION in modules else ()))


def least_workers(agent: AgentType) -> int:
    """Return how many workers of a type a hive on one machine has in any case: what joins it counts on one."""
    return max(1, agent.workers.minimum)


def _follows_demand(app: Hive, plan: HivePlan) -> bool:
    """Whether slots do; a number that somebody asked for is kept."""
    is_asked = plan.slots is not None or "slots" in app.settings.fleet.model_fields_set
    return app.settings.scaling.slots and not is_asked


def worker_parts(app: Hive, plan: HivePlan, agent: AgentType, count: int) -> list[PartPlan]:
    """Return the parts that are the first ``count`` workers of a type: TYPE, TYPE.2 and so on."""
    slots, elastic = app.settings.fleet.slots if plan.slots is None else plan.slots, _follows_demand(app, plan)
    names = [agent.name if number == 1 else f"{agent.name}.{number}" for number in range(1, count + 1)]
    return [_pool(app, agent, name, slots, elastic) for name in names]


def _pool(app: Hive, agent: AgentType, name: str, slots: int, follows_demand: bool) -> PartPlan:
    size = slots_within(agent, slots)
    arguments = worker_arguments(
        agent,
        untyped_queues(app),
        concurrency=size,
        hostname=f"{name}@%h",
        follows_demand=follows_demand,
    )
    return PartPlan(name=name, arguments=tuple(arguments), slots=size, queues=queues_of(app, agent))
