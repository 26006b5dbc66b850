"""Agent types: which kinds of worker pool there are, and what each is good at.

An agent type is a value. The ten that come with hive stand in :mod:`hive.agents.builtin`; a user's package adds its
own under the entry point group ``hive.agent_types``, and ``hive.toml`` adds or changes them under ``[agents.NAME]``.
All of them end up in one :class:`Registry`, built once by the application and handed to whoever asks.

Guaranteed: names are unique, a name that is not registered is an error which names the nearest one, and there is
always exactly one fallback, ``general_developer``. Not decided here: which worker gets a task (``hive.routing``), and
how many workers there are (``hive.scaling``).
"""

from hive.agents.builtin import BUILTIN, FALLBACK
from hive.agents.registry import Registry, load_registry
from hive.agents.types import AgentType, Capability, Concurrency, Resources

__all__ = ["BUILTIN", "FALLBACK", "AgentType", "Capability", "Concurrency", "Registry", "Resources", "load_registry"]
