"""The application."""

import inspect
from typing import Any

from celery import Celery
from celery.app import backends

from hive.agents.registry import Registry, load_registry
from hive.pools.lifespan import Lifespan
from hive.pools.process_loop import ProcessLoop
from hive.runtime.access import Access
from hive.runtime.address import results_url
from hive.runtime.coroutines import with_models
from hive.runtime.defaults import celery_settings, transport_defaults
from hive.runtime.results import fenced
from hive.settings.load import load_settings
from hive.settings.model import Settings
from hive.transport.install import install
from hive.transport.options import with_delivery_settings
from hive.transport.process import Process


class Hive(Celery):
    """``celery.Celery`` that loses nothing, with one worker pool for each agent type.

    Takes every argument of ``Celery``. What is configured (``broker=``, ``app.conf``, ``config_from_object``) wins over
    hive's settings, which win over Celery's defaults.

    Args:
        main: name of the main module, as for Celery.
        settings: hive's settings; loaded from ``hive.toml`` and ``HIVE_*`` if not given.
        agent_types: the agent types; hive's own, those of installed packages and of the settings if not given.
        kwargs: whatever ``Celery`` takes.

    Raises:
        SettingsError: the settings cannot work.

    Example:
        >>> app = Hive("shop", broker="redis://localhost")
        >>> @app.task(agent_type="code_reviewer")
        ... def review(path): ...
    """

    amqp_cls = "hive.runtime.amqp:HiveAMQP"
    task_cls = "hive.runtime.task:HiveTask"

    def __init__(
        self,
        main: str | None = None,
        *args: Any,
        settings: Settings | None = None,
        agent_types: Registry | None = None,
        **kwargs: Any,
    ) -> None:
        self.settings = settings or load_settings()
        self.agent_types = agent_types or load_registry(self.settings.agents)
        self.process = Process()
        self.access = Access(self)
        install()
        super().__init__(main, *args, **kwargs)
        self.steps["consumer"].add("hive.runtime.consuming:Delivery")
        # By name, as Celery takes steps: a producer needs no Prometheus client.
        self.steps["consumer"].add("hive.monitoring.port:Figures")
        self.lifespan = Lifespan(self)
        self.process_loop = ProcessLoop(self.lifespan)
        self.add_defaults(lambda: celery_settings(self.settings, self.agent_types))

    def task(self, *args: Any, **opts: Any) -> Any:
        """Declare a task, as ``Celery.task`` does, for the pool of ``agent_type`` if one is given.

        Raises:
            UnknownAgentTypeError: nobody declared ``agent_type``. (Celery builds a task only when the application is
                finalized; this is said at the definition.)
        """
        if opts.get("agent_type") is not None:
            self.agent_types.require(opts["agent_type"], task=opts.get("name"))
        return super().task(*args, **opts)

    def _task_from_fun(self, fun: Any, name: str | None = None, *args: Any, **options: Any) -> Any:
        if options.get("pydantic") and inspect.iscoroutinefunction(fun):
            fun = with_models(self, fun, name or fun.__name__, options)
        return super()._task_from_fun(fun, name, *args, **options)

    def _connection(self, url: str, *args: Any, transport_options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Return a connection that knows the delivery settings and what this process holds on the broker."""
        given = {**self.conf.broker_transport_options, **(transport_options or {})}
        options = with_delivery_settings({**transport_defaults(self.settings), **given}, self.settings.delivery)
        connection = super()._connection(url, *args, transport_options=options, **kwargs)
        connection.hive_process = self.process
        return connection

    def _get_backend(self) -> Any:
        """Return the result backend, which lets only the holder of a delivery write."""
        backend, url = backends.by_url(
            self.backend_cls or self.conf.result_backend or results_url(self.conf), self.loader
        )
        return fenced(backend)(app=self, url=url)

    def __reduce_keys__(self) -> dict[str, Any]:
        """Return what another process needs to build the same application."""
        return {**super().__reduce_keys__(), "settings": self.settings, "agent_types": self.agent_types}
