"""The router that Celery asks for every ``.delay()``."""

from collections.abc import Mapping
from typing import Any

from hive.agents.types import AgentType
from hive.errors import UnknownAgentTypeError


class Router:
    """Sends a task to the queue of its agent type, for Celery's ``task_routes``.

    Args:
        types: agent types by name.
    """

    def __init__(self, types: Mapping[str, AgentType]) -> None:
        self._types = types

    def __call__(
        self, name: str, args: Any, kwargs: Any, options: Mapping[str, Any], task: Any = None, **_: Any
    ) -> dict[str, str] | None:
        """Return ``{"queue": ...}`` for a task with an agent type, else nothing.

        ``agent_type`` among the call's options wins over the task's own. Always a new dict: Celery changes it.

        Raises:
            UnknownAgentTypeError: nobody declared the agent type of the call.
        """
        wanted = options.get("agent_type") or getattr(task, "agent_type", None)
        if wanted is None or options.get("queue"):
            return None
        if wanted not in self._types:
            raise UnknownAgentTypeError(wanted, self._types, name)
        return {"queue": self._types[wanted].queue}
