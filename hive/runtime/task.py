"""The task class of every task of a Hive application."""

from typing import Any, ClassVar

from celery import Task

from hive.runtime.coroutines import run_to_end


class HiveTask(Task):
    """Celery's task, with an agent type.

    Attributes:
        agent_type: name of the agent type whose pool runs it; none: Celery's default queue.
    """

    agent_type: str | None = None
    Request = "hive.runtime.request:HiveRequest"
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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body; in a worker, a coroutine is run to its end on the loop of the process."""
        return run_to_end(self, super().__call__(*args, **kwargs))
