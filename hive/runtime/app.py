"""The application."""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.app import backends
from kombu.utils.objects import cached_property

from hive.agents.registry import Registry, load_registry
from hive.clock import SystemClock
from hive.guards.breaker import Breaker, judged_by
from hive.pools.lifespan import Lifespan
from hive.pools.names import register
from hive.pools.process_loop import ProcessLoop
from hive.resilience.breaker import outcome_of
from hive.routing.snapshots import Snapshots
from hive.runtime.address import results_url
from hive.runtime.agents.handles import Agent, Agents, agent_name, register_keeping
from hive.runtime.calling.affinity import has_affinity, with_affinity
from hive.runtime.calling.backpressure import Backpressure, bounds_of
from hive.runtime.calling.call_options import require_meant
from hive.runtime.calling.deadline import with_deadline
from hive.runtime.calling.plain_call import PlainCalls
from hive.runtime.calling.publishers import Publishers
from hive.runtime.calling.turns import takes_turns, with_turn
from hive.runtime.calling.unique import asks_for_key, send_keyed
from hive.runtime.configuration import Configuration
from hive.runtime.defaults import celery_settings, transport_defaults
from hive.runtime.delivery.access import Access
from hive.runtime.durable.task import AGENT, Durable, DurableError
from hive.runtime.guarding.dependencies import circuits_of
from hive.runtime.guarding.limited import Limits
from hive.runtime.guarding.needing import HostBookings
from hive.runtime.rest import tasks as rest_tasks
from hive.runtime.results.awaiting import Awaiting, HiveGroupResult, HiveResult
from hive.runtime.results.backend import fenced
from hive.runtime.results.degrading import degrading
from hive.runtime.results.fallback import FALLBACK_TASK, run_fallback
from hive.runtime.retrying.policy import RetryPolicy
from hive.runtime.worker.coroutines import with_models
from hive.settings.load import load_settings
from hive.settings.model import Settings
from hive.settings.parts import BreakerSettings
from hive.transport.batch import gathering
from hive.transport.install import install
from hive.transport.options import with_delivery_settings
from hive.transport.process import Process

if TYPE_CHECKING:
    from hive.checkpoints.store import CheckpointStore
    from hive.database.memories import MemoryDatabase
    from hive.memory.memory import Memory


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

    amqp_cls = "hive.runtime.calling.amqp:HiveAMQP"
    task_cls = "hive.runtime.task:HiveTask"
    control_cls = "hive.runtime.worker.revoking:HiveControl"
    events_cls = "hive.runtime.worker.event_stream:HiveEvents"

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
        self.limits = Limits(self)
        self.bookings = HostBookings(self)
        self.agents = Agents(self)
        self.snapshots = Snapshots(
            self.agent_types, lambda: self.access.store, self.settings.routing, self.process.clock
        )
        self.backpressure = Backpressure(bounds_of(self.settings, self.agent_types), SystemClock())
        self._batching = threading.local()
        self._publishers = Publishers(self)
        self.retry_policy = RetryPolicy(self)
        self.plain_calls = PlainCalls(self, self._publishers, lambda: getattr(self._batching, "producer", None))
        install()
        register()
        super().__init__(main, *args, **kwargs)
        self._conf: Any = Configuration.of(self._conf)
        self.steps["consumer"].add("hive.runtime.worker.consuming:Delivery")
        self.steps["consumer"].add("hive.runtime.worker.watching:DeadLetterWatch")
        self.steps["consumer"].add("hive.runtime.guarding.dependencies:BreakerWatch")
        self.steps["consumer"].add("hive.runtime.worker.garbage:Freeze")
        self.steps["consumer"].add("hive.runtime.worker.bounding:Bounds")
        self.steps["consumer"].add("hive.runtime.worker.lanes:Lanes")
        self.steps["consumer"].add("hive.runtime.worker.sizing:Sizing")
        # By name, as Celery takes steps: who serves no port needs no Prometheus client.
        self.steps["consumer"].add("hive.monitoring.announcing:Announcements")
        if self.settings.worker.metrics_port:
            self.steps["consumer"].add("hive.monitoring.port:Port")
        self.lifespan = Lifespan(self)
        self.process_loop = ProcessLoop(self.lifespan)
        self.awaiting = Awaiting(self)
        self.circuits = circuits_of(self)
        self._degrading: dict[Any, Any] = {}
        register_keeping(self)
        rest_tasks.register(self)
        self.task(name=FALLBACK_TASK, bind=True, shared=False)(run_fallback)

    def _load_config(self) -> Any:
        """Read the settings; they are at hand as Configuration from the start, or from the next ``config_from_object``."""
        self._pending_defaults.appendleft(self._add_own_settings)
        settings = super()._load_config()
        if not isinstance(settings, Configuration):
            settings = self._conf = Configuration.of(settings)
        return settings

    def _add_own_settings(self) -> dict[str, Any]:
        """Put hive's before Celery's own: what is left to ``add_defaults`` would come before what the user configures."""
        own = celery_settings(self.settings, self.agent_types)
        for chain in (self._conf.__dict__["maps"], self._conf.__dict__["defaults"]):
            chain.insert(-1, own)
        return {}

    def task(self, *args: Any, **opts: Any) -> Any:
        """Declare a task, as ``Celery.task`` does, for the pool of ``agent_type`` if one is given.

        Raises:
            UnknownAgentTypeError: nobody declared ``agent_type``. (Celery builds a task only when the application is
                finalized; this is said at the definition.)
        """
        if opts.get("agent_type") is not None:
            self.agent_types.require(opts["agent_type"], task=opts.get("name"))
            # Celery gives a shared task to every later application of the process, which need not know the type.
            opts.setdefault("shared", False)
        return super().task(*args, **opts)

    def _task_from_fun(self, fun: Any, name: str | None = None, *args: Any, **options: Any) -> Any:
        if options.get("pydantic") and inspect.iscoroutinefunction(fun):
            fun = with_models(self, fun, name or fun.__name__, options)
        if options.get("fallback") is not None:
            # Celery declares a shared task anew and knows it by its function: it must be the same one then.
            name = name or self.gen_task_name(fun.__name__, fun.__module__)
            fun = self._degrading.setdefault(fun, degrading(self, fun, name))
        if "durable" in options:
            options["durable_terms"] = Durable.of(options.pop("durable"), name or fun.__name__)
        if "retry" in options:
            # As an attribute it would hide the method.
            options["retry_strategy"] = options.pop("retry")
        # Celery registers a task before it gives it its settings: another thread would call it without them.
        with self._finalize_mutex:
            return super()._task_from_fun(fun, name, *args, **options)

    def _connection(self, url: str, *args: Any, transport_options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Return a connection that knows the delivery settings and what this process holds on the broker."""
        given = {**self.conf.broker_transport_options, **(transport_options or {})}
        options = with_delivery_settings({**transport_defaults(self.settings), **given}, self.settings.delivery)
        connection = super()._connection(url, *args, transport_options=options, **kwargs)
        connection.hive_process = self.process
        return connection

    def start(self, argv: Any = None) -> Any:
        """Run a command of Celery's by its arguments, as ``Celery.start`` does; worker and beat without what others need."""
        from hive.runtime import lean_commands  # noqa: PLC0415 - a caller needs no command line: 5 MB

        if argv is not None and lean_commands.is_plain(self, argv):
            return lean_commands.run(self, argv)
        return super().start(argv)

    def close(self) -> None:
        """Let go of the broker, as ``Celery.close`` does; the application may be used again. A repeat does nothing."""
        self.snapshots.stop()
        for name in ("checkpoints", "memories"):
            if name in self.__dict__:
                self.__dict__[name].close()
        self._publishers.close()
        super().close()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Publish what this thread calls within the block together, at its end; in few round trips.

        Nothing is published if the block raises. Each task's result object is there at once, as ever.

        Raises:
            BatchPublishError: some messages are not on the broker; it says which, by the order of the calls.
            MessageTooLargeError: one is over the limit; none was published.

        Example:
            >>> with app.batch():
            ...     results = [review.delay(path) for path in paths]
        """
        with self._producer() as producer, gathering(producer) as gathered:
            before = getattr(self._batching, "producer", None)
            self._batching.producer = producer
            try:
                yield
            finally:
                self._batching.producer = before
            gathered.send()

    def breaker(
        self,
        name: str,
        rules: BreakerSettings | None = None,
        *,
        counts_as_failure: Callable[[BaseException], bool] | None = None,
    ) -> Breaker:
        """Return the circuit breaker of a dependency: a context manager, plain and asynchronous, and a decorator.

        All processes of the fleet share its state. Entering it raises ``BreakerOpenError`` while it is open.

        Args:
            name: the dependency.
            rules: when it opens and closes; those of the settings if not given. The first that a process gives stay.
            counts_as_failure: says whether an error is the dependency's; by default network, timeout, rate limit,
                resource and dependency are, by :func:`hive.resilience.causes.classify`.

        Example:
            >>> with app.breaker("openai"):  # doctest: +SKIP
            ...     client.responses.create(...)
        """
        if rules is not None:
            self.circuits.declare(name, rules)
        return Breaker(name, self.circuits, judged_by(counts_as_failure) if counts_as_failure else outcome_of)

    @cached_property
    def checkpoints(self) -> "CheckpointStore":
        """The state of agents, in the database of the settings and on the application's broker."""
        from hive.runtime.agents.checkpointing import checkpoints_of  # noqa: PLC0415 - not every process has agents with state

        return checkpoints_of(self)

    @cached_property
    def memories(self) -> "MemoryDatabase":
        """Where agents remember, one for the process: each opens connections of its own."""
        from hive.runtime.consolidating import database_of  # noqa: PLC0415 - not every process has agents that remember

        return database_of(self)

    def memory(self, agent: str) -> "Memory":
        """Return what an agent remembers, in the database of the settings.

        Raises:
            InputError: the agent has no name.
        """
        from hive.runtime.consolidating import memory_of  # noqa: PLC0415 - not every process has agents that remember

        return memory_of(self, agent)

    def agent(self, name: str) -> Agent:
        """Return an agent by its name: its state, sleep and wake, and signals to it.

        Raises:
            InputError: the name cannot be one.
        """
        return self.agents[name]

    def durable(self) -> Any:
        """Return the steps and waits of the durable task that runs here; what ``self.durable`` is with ``bind=True``.

        Raises:
            DurableError: no durable task runs here.
        """
        task = self.current_worker_task
        if task is None:
            raise DurableError("no task runs here: steps and waits belong into the body of a durable task")
        return task.durable

    @contextmanager
    def _producer(self) -> Iterator[Any]:
        with self._publishers.lend() as lent:
            if lent is not None:
                yield lent
                return
            with self.producer_pool.acquire(block=True) as producer:
                yield producer

    @cached_property
    def schedule(self) -> Any:
        """What beat sends: entries that can be added, paused and removed at run time; see ``hive.runtime.beat.schedule``."""
        from hive.runtime.beat.schedule import Schedule  # noqa: PLC0415 - a worker needs no beat

        return Schedule(self)

    @cached_property
    def rest(self) -> Any:
        """The scheduler that puts idle agents to sleep and consolidates them; see :mod:`hive.runtime.rest`."""
        return rest_tasks.scheduler_of(self)

    @cached_property
    def AsyncResult(self) -> Any:  # noqa: N802 - Celery's name
        """The class of results, bound to this application; a coroutine can wait for them."""
        return self.subclass_with_self(HiveResult, reverse="AsyncResult")

    @cached_property
    def GroupResult(self) -> Any:  # noqa: N802 - Celery's name
        """The class of a group's results, bound to this application; a coroutine can wait for them."""
        return self.subclass_with_self(HiveGroupResult, reverse="GroupResult")

    async def acall(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what publishes or asks the broker, such as ``chain(...).apply_async``, without blocking the event loop.

        Returns and raises what ``function`` does.
        """
        return await self.awaiting.call(function, *args, **kwargs)

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Send a task by name, as ``Celery.send_task`` does with the same arguments; every call of a task comes here.

        Besides Celery's options it takes ``deadline_s``: seconds from now within which the task must begin; one that has not
        begun then gives its fallback, or fails with ``DeadlineExceededError``; and ``idempotency_key``: a second call of the
        task with the same key is handed the first one's result (:mod:`hive.runtime.calling.unique`); and ``fair_key``, whose turn it
        waits for behind the ready list, with ``fair_weight`` (:mod:`hive.runtime.calling.turns`); and ``affinity``, a key whose calls
        go to the same worker while it lives (:mod:`hive.runtime.calling.affinity`); and ``agent``, the name of the agent it is for
        (:mod:`hive.runtime.agents.handles`).

        Raises:
            QueueFull: the queue has a bound, and as many messages wait there as that allows.
            InputError: an option of hive's is misspelt, or one that only a task can declare.
        """
        require_meant(name, options)
        if "agent" in options:
            name_of_agent = agent_name(options.pop("agent"))
            options["headers"] = {**(options.get("headers") or {}), AGENT: name_of_agent}
        if has_affinity(options.get("task_type"), options):
            options = with_affinity(options.get("task_type"), args or (), kwargs or {}, options)
        if takes_turns(options.get("task_type"), options):
            options = with_turn(options.get("task_type"), args or (), kwargs or {}, options)
        if options.get("deadline_s") is not None:
            options = with_deadline(options, self.process.clock)
        if self.backpressure.bounds:
            return self.backpressure.send(partial(self._send_asked, name, args, kwargs, *more), **options)
        return self._send_asked(name, args, kwargs, *more, **options)

    def _send_asked(self, name: str, args: Any, kwargs: Any, *more: Any, **options: Any) -> Any:
        task = options.get("task_type") or dict.get(self._tasks, name)
        if asks_for_key(task, options):
            held_s = self.settings.delivery.idempotency_s
            return send_keyed(self._send, task, held_s, name, args, kwargs, *more, **options)
        return self._send(name, args, kwargs, *more, **options)

    def _send(self, name: str, args: Any, kwargs: Any, *more: Any, **options: Any) -> Any:
        is_given = options.get("producer") or options.get("publisher") or options.get("connection")
        if more or is_given or getattr(self._batching, "producer", None):
            return super().send_task(name, args, kwargs, *more, **options)
        options.pop("producer", None)
        with self._publishers.lend() as producer:
            return super().send_task(name, args, kwargs, producer=producer, **options)

    def producer_or_acquire(self, producer: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the given producer, that of the batch this thread is in, or one of the pool's."""
        return super().producer_or_acquire(producer or getattr(self._batching, "producer", None), *args, **kwargs)

    def _get_backend(self) -> Any:
        """Return the result backend, which lets only the holder of a delivery write."""
        backend, url = backends.by_url(
            self.backend_cls or self.conf.result_backend or results_url(self.conf), self.loader
        )
        return fenced(backend)(app=self, url=url)

    def __reduce_keys__(self) -> dict[str, Any]:
        """Return what another process needs to build the same application."""
        return {**super().__reduce_keys__(), "settings": self.settings, "agent_types": self.agent_types}
