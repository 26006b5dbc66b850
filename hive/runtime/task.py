"""The task class of every task of a Hive application."""

from typing import Any, ClassVar

from celery import Task


class HiveTask(Task):
    """Celery's task, with an agent type.

    Attributes:
        agent_type: name of the agent type whose pool runs it; none: Celery's default queue.
    """

    agent_type: str | None = None
    # Celery copies these from the class into every call's options.
    from_config: ClassVar[tuple[Any, ...]] = Task.from_config

    @classmethod
    def bind(cls, app: Any) -> Any:
        """Bind to ``app`` and check the agent type, so that an unknown one is an error where the task is defined.

        Raises:
            UnknownAgentTypeError: nobody declared ``agent_type``.
        """
        if cls.agent_type is not None and hasattr(app, "agent_types"):
            app.agent_types.require(cls.agent_type, task=cls.name)
        return super().bind(app)
