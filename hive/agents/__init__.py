"""Agent types: which kinds of worker pool there are, and what each is good at.

An agent type is a value. The ten that come with hive stand in :mod:`hive.agents.builtin`; a user's package adds its
own under the entry point group ``hive.agent_types``, and ``hive.toml`` adds or changes them under ``[agents.NAME]``.
All of them end up in one :class:`Registry`, built once by the application and handed to whoever asks.

Guaranteed: names are unique, a name that is not registered is an error which names the nearest one, and there is
always exactly one fallback, ``general_developer``. Not decided here: which worker gets a task (``hive.routing``), and
how many workers there are (``hive.scaling``).

Agents, individuals with state, are moved through one state machine (:mod:`hive.agents.lifecycle`); this is its drawing,
and a test holds it to the table::

    stateDiagram-v2
        [*] --> AWAKE
        AWAKE --> PREPARING_SLEEP: sleep
        PREPARING_SLEEP --> SLEEPING: checkpointed
        PREPARING_SLEEP --> AWAKE: wake
        PREPARING_SLEEP --> AWAKE: failed
        PREPARING_SLEEP --> AWAKE: timed_out
        SLEEPING --> CONSOLIDATING: consolidate
        SLEEPING --> PREPARING_WAKE: wake
        CONSOLIDATING --> SLEEPING: consolidated
        CONSOLIDATING --> SLEEPING: failed
        CONSOLIDATING --> SLEEPING: timed_out
        CONSOLIDATING --> PREPARING_WAKE: wake
        PREPARING_WAKE --> AWAKE: restored
        PREPARING_WAKE --> ERROR: failed
        PREPARING_WAKE --> SLEEPING: timed_out
        ERROR --> PREPARING_WAKE: wake
        ERROR --> AWAKE: reset

Three of the states a process goes through together with the agent; they end by the broker's time if that process dies.
When an agent sleeps is said by a :class:`SleepPolicy`: in windows by the wall clock of a time zone, when it was idle for a
time, or on request.
"""

from hive.agents.builtin import BUILTIN, FALLBACK
from hive.agents.lifecycle import AgentEvent, AgentState, AgentStateError, diagram
from hive.agents.registry import Registry, load_registry
from hive.agents.sleep_policy import SleepPolicy
from hive.agents.types import AgentType, Capability, Concurrency, Resources
from hive.agents.windows import SleepWindow

__all__ = [
    "BUILTIN",
    "FALLBACK",
    "AgentEvent",
    "AgentState",
    "AgentStateError",
    "AgentType",
    "Capability",
    "Concurrency",
    "Registry",
    "Resources",
    "SleepPolicy",
    "SleepWindow",
    "diagram",
    "load_registry",
]
