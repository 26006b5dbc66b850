"""Agents as an application's code and its operators see them."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Literal

from hive.agents.lifecycle import AgentEvent, AgentState, AgentStateError
from hive.agents.sleep_policy import SETTLED_S, SleepPolicy, Standing, Wish, wish
from hive.checkpoints.checkpoint import Checkpoint, Kind
from hive.errors import HiveError, InputError
from hive.runtime.agents.sleeping import OnSleep, OnWake, Sleeper
from hive.runtime.delivery.fence import Fence
from hive.runtime.durable.run import WAIT
from hive.runtime.durable.task import ANSWER, Written
from hive.store.lifecycles import AgentRecord
from hive.store.run_values import Signalled
from hive.store.store import Store

logger = logging.getLogger(__name__)

#: The task that does the round of all agents, for beat.
KEEP_TASK = "hive.keep_agents"

#: Longest name of an agent.
LONGEST = 200


def register_keeping(app: Any) -> None:
    """Give an application the task that does the round of all agents."""

    # A function of its own: of a bound method Celery takes `self` for an argument that each call has to give.
    @app.task(name=KEEP_TASK, shared=False)
    def keep() -> dict[str, str]:
        """Do the round once; returns what happened to which agent."""
        done: dict[str, str] = app.agents.keep()
        return done


def agent_name(name: object) -> str:
    """Return the name of an agent if it can be one.

    Raises:
        InputError: it cannot.
    """
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST or ":" in name or any(map(str.isspace, name)):
        raise InputError(f"agent={name!r}: a name has 1 to {LONGEST} characters, without spaces and colons")
    return name


class Agent:
    """One agent: an individual with state, known by its name from its first message on.

    Args:
        agents: of the application.
        name: its name.

    Example:
        >>> agent = app.agent("reviewer-7")  # doctest: +SKIP
        >>> review.apply_async((path,), agent=agent.name)  # doctest: +SKIP
        >>> agent.signal("approved", {"by": "kim"})  # doctest: +SKIP
    """

    def __init__(self, agents: "Agents", name: str) -> None:
        self._agents, self.name = agents, agent_name(name)

    @property
    def state(self) -> AgentState:
        """Where it is in its life; one that nobody has named before is awake."""
        return self._agents.store.agent_seen(self.name).state

    @property
    def record(self) -> AgentRecord | None:
        """All that is known of it; None: nobody has named it before."""
        return self._agents.store.agent(self.name)

    def signal(self, event: str, value: Any = None) -> Signalled:
        """Let the task of it that has waited longest for an event go on with a value; if none waits, one that will.

        Not to be repeated after an error: the signal may be there twice.

        Raises:
            InputError: a thousand of them wait already.
            BrokerGoneError: no reply.
        """
        return self._agents.store.signal_agent(self.name, event, self._agents.written.encode(value, self.name))

    def sleep(self, reason: str = "on request", *, drain_s: float | None = None) -> None:
        """Put it to sleep, and return when it sleeps: see :meth:`hive.runtime.agents.sleeping.Sleeper.sleep`.

        Not from a task of its own, which would be waited for.
        """
        self._agents.sleeper.sleep(self.name, reason, drain_s)

    def wake(self, reason: str = "on request") -> None:
        """Wake it where it was, and return when it is awake: see :meth:`hive.runtime.agents.sleeping.Sleeper.wake`."""
        self._agents.sleeper.wake(self.name, reason)

    def reset(self) -> None:
        """Let it go on, from state ``error``, without what could not be restored.

        Raises:
            AgentStateError: it is in no such state.
        """
        self._agents.sleeper.reset(self.name)

    def follow(self, policy: SleepPolicy) -> None:
        """Set when it sleeps and what wakes it, instead of the settings. Safe to repeat."""
        self._agents.store.agent_policy(self.name, policy)

    def save(self, state: Any, *, kind: Kind = Kind.MANUAL) -> Checkpoint:
        """Write its state as its next checkpoint; in a task, only as the holder of the task's delivery.

        Raises:
            StaleCheckpointError: a newer delivery has written.
            InputError: the state cannot be written.
            DatabaseError: nothing was written.
        """
        return self._agents.save(self.name, state, kind)

    def load(self) -> Any:
        """Return its state as it was saved last; None: it never was.

        Raises:
            CheckpointDamagedError: none of the last three checkpoints is valid.
            DatabaseError: it cannot be read.
        """
        found = self._agents.checkpoints.read(self.name)
        return None if found is None else found.state

    def forget(self) -> None:
        """Forget it, with its checkpoints; its next message makes it known anew, awake and without a state.

        What waits for it goes on. A repeat does nothing.

        Raises:
            DatabaseError: its checkpoints are still there.
        """
        store = self._agents.store
        self._agents.checkpoints.forget(self.name)
        store.agent_release(self.name)
        store.agent_forget(self.name)
        # What came to wait between the two.
        store.agent_release(self.name)

    def consolidating(self) -> AbstractContextManager[None]:
        """Hold it in the state ``consolidating`` for a block: see :meth:`hive.runtime.agents.sleeping.Sleeper.consolidating`."""
        return self._agents.sleeper.consolidating(self.name)

    def __repr__(self) -> str:
        return f"Agent({self.name!r})"


class Agents:
    """``app.agents``: all agents of an application, and the tasks that wait.

    Args:
        app: the application.

    Raises:
        InputError: the sleep windows of the settings cannot be meant.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.sleeper = Sleeper(app)
        chosen = app.settings.sleep
        table = {name: getattr(chosen, name) for name in ("idle_s", "windows", "wakes_on_message")}
        # At once: a window that cannot be is to be known before the night comes.
        self._policy = SleepPolicy.of_table(table)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._app,)

    def __iter__(self) -> Iterator[AgentRecord]:
        return iter(self.store.agents())

    def __getitem__(self, name: str) -> Agent:
        return Agent(self, name)

    @property
    def store(self) -> Store:
        """The broker of this process."""
        store: Store = self._app.access.store
        return store

    @property
    def checkpoints(self) -> Any:
        """Where the state of agents is kept."""
        return self._app.checkpoints

    @cached_property
    def written(self) -> Written:
        """Writes what signals carry."""
        return Written(self._app.conf.result_serializer, self._app.settings.delivery.max_message_bytes)

    def on_sleep(self, hook: OnSleep) -> OnSleep:
        """Have a function make the state with which agents sleep: called with name and last state; as a decorator.

        It runs in whichever process puts an agent to sleep: a worker, a command, the round of beat.
        """
        self.sleeper.on_sleep = hook
        return hook

    def on_wake(self, hook: OnWake) -> OnWake:
        """Have a function take the state of agents that wake: called with name and state; as a decorator."""
        self.sleeper.on_wake = hook
        return hook

    def signal(self, task_id: str, event: str, value: Any = None) -> Signalled:
        """Let a task go on that waits for an event, or will. Not to be repeated after an error.

        Raises:
            InputError: there is no event, or a thousand signals wait already.
            BrokerGoneError: no reply.
        """
        if not event:
            raise InputError(f"a signal to {task_id!r} needs the name of an event")
        return self.store.signal_run(task_id, event, self.written.encode(value, task_id))

    def answer(self, task_id: str, answer: Literal["retry", "fail", "result"], result: Any = None) -> bool:
        """Say what is to become of the step a task asks about: run it again, fail, or take this result for it.

        Returns:
            Whether the task asked; if not, nothing was done.

        Raises:
            BrokerGoneError: no reply; look again.
        """
        place = self.store.parked_run(task_id)
        if place is None or not place.event.startswith(ANSWER):
            return False
        told = {"answer": answer, **({"result": result} if answer == "result" else {})}
        return self.signal(task_id, place.event, told) is Signalled.WOKEN

    def wake_task(self, task_id: str) -> bool:
        """Let a parked task go on, whatever it waits for: a sleep is over, a wait returns None.

        Returns:
            Whether it was parked. One that asks about a step is not: it needs an answer.

        Raises:
            BrokerGoneError: no reply; look again.
        """
        place = self.store.parked_run(task_id)
        if place is None or place.field.startswith(f"{WAIT}{ANSWER}"):
            return False
        return self.store.signal_run(task_id, "", self.written.encode(None, task_id)) is Signalled.WOKEN

    def save(self, name: str, state: Any, kind: Kind) -> Checkpoint:
        """Write the state of an agent, fenced by the delivery of the task that runs here, if one does."""
        task = self._app.current_worker_task
        fence = Fence.of(task.request) if task is not None else None
        token = None if fence is None else fence.token
        checkpoint: Checkpoint = self.checkpoints.write(name, state, kind=kind, fencing_token=token)
        return checkpoint

    def policy_of(self, record: AgentRecord) -> SleepPolicy:
        """Return when an agent sleeps: by its own policy, else by the settings."""
        return self._policy if record.policy is None else record.policy

    def keep(self) -> dict[str, str]:
        """Do the round once.

        Puts to sleep whose window or idleness asks for it, wakes whose window is over, leaves passing states whose time is
        over, and lets go on what waits for an agent that is awake. Any number of processes may, at any time.

        Returns:
            What happened to which agent.
        """
        done: dict[str, str] = {}
        for name in self.store.agents_overdue():
            done[name] = f"timed out, {self.sleeper.settle(name).state.value} now"
        now_ms = self.store.server_time_ms()
        for record in self:
            what = self._kept(record, now_ms)
            if what:
                done[record.name] = what
        return done

    def _kept(self, record: AgentRecord, now_ms: int) -> str:
        if record.state is AgentState.AWAKE and record.waiting_count:
            # Who woke it died before it let them go on.
            count = self.store.agent_release(record.name)
            return f"awake: {count} messages that waited go on" if count else ""
        idle_s = max(now_ms - max(record.active_ms, record.since_ms), 0) / 1000
        running_count = len(record.running)
        if running_count and idle_s >= SETTLED_S:
            running_count = self.sleeper.running_count(record.name)
        standing = Standing(
            state=record.state,
            reason=record.reason,
            idle_s=idle_s,
            running_count=running_count,
            waiting_count=record.waiting_count,
        )
        found = wish(self.policy_of(record), standing, now_ms)
        return "" if found is None else self._grant(record.name, found)

    def _grant(self, name: str, found: Wish) -> str:
        try:
            if found.event is AgentEvent.SLEEP:
                self.sleeper.sleep(name, found.reason, drain_s=0.0)
                return f"sleeps: {found.reason}"
            self.sleeper.wake(name, found.reason)
        except AgentStateError:
            return "was moved by somebody else"
        except HiveError as error:
            # It is recorded with the agent, and the next round tries again.
            logger.warning("agent %r: %s", name, error)
            return str(error)
        return f"awake: {found.reason}"
