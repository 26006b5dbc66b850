"""Putting agents to sleep and waking them: the ways between the states of :mod:`hive.agents.lifecycle`.

Every move is a compare and set on the broker, with a token that grows. So however many processes move an agent, each
move happens once, and a process that was slower than its term finds its move refused. A process that dies on the way
leaves a state with an end: whoever looks next, a worker with a message for the agent, a command, or the round of
:meth:`hive.runtime.agents.handles.Agents.keep`, moves it on.

======================================= =================================================================
what fails                              what happens
======================================= =================================================================
its tasks do not end in ``drain_s``     it stays awake, with the failure recorded
the checkpoint cannot be written        it stays awake, with the failure recorded
who puts it to sleep dies               after ``drain_s`` and a minute it counts as awake
who wakes it dies                       after ``wake_s`` it sleeps, and the next message wakes it; the third time: error
no valid checkpoint is found            error: its messages wait; ``hive wake --anew`` wakes it without its state
a consolidation fails, or dies          it sleeps on, with the failure recorded, and wakes as ever
======================================= =================================================================
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hive.agents.lifecycle import AgentEvent, AgentState, AgentStateError, after, overdue
from hive.checkpoints.checkpoint import Kind
from hive.clock import Clock, SystemClock
from hive.errors import HiveError
from hive.store.faults import BrokerGoneError
from hive.store.lifecycles import Seen
from hive.store.store import Store

logger = logging.getLogger(__name__)

#: Seconds beside ``drain_s`` for the checkpoint that follows it.
CHECKPOINT_S = 60.0

#: Seconds between two looks at what still runs of an agent: the first, and the longest.
FIRST_LOOK_S, LONGEST_LOOK_S = 0.02, 1.0

#: Makes the state of an agent that is about to sleep from the one that was checkpointed last.
OnSleep = Callable[[str, Any], Any]

#: Takes the state of an agent that wakes.
OnWake = Callable[[str, Any], object]


class NotDrainedError(HiveError):
    """Tasks of an agent still ran when it was to sleep.

    Attributes:
        agent: its name.
        running_count: how many.
    """

    retryable = True

    def __init__(self, agent: str, running_count: int) -> None:
        self.agent, self.running_count = agent, running_count
        super().__init__(agent, running_count)

    def __str__(self) -> str:
        return f"agent {self.agent!r} stays awake: {self.running_count} of its tasks did not end in time"


class HookError(HiveError):
    """A function of the application's that makes or takes the state of agents failed.

    Attributes:
        agent: its name.
        reason: what it raised.
    """

    def __init__(self, agent: str, reason: str) -> None:
        self.agent, self.reason = agent, reason
        super().__init__(agent, reason)

    def __str__(self) -> str:
        return f"the application's own hook failed for agent {self.agent!r}: {self.reason}"


class Sleeper:
    """Moves the agents of an application.

    Args:
        app: the application.
        clock: for waits.
    """

    def __init__(self, app: Any, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self.on_sleep: OnSleep | None = None
        self.on_wake: OnWake | None = None

    @property
    def _store(self) -> Store:
        store: Store = self._app.access.store
        return store

    def sleep(self, agent: str, reason: str, drain_s: float | None = None) -> None:
        """Put an agent to sleep: let its tasks end or park, checkpoint it, and hold its messages from then on.

        Args:
            agent: its name.
            reason: why.
            drain_s: seconds its running tasks may take; none: as the settings say.

        Raises:
            AgentStateError: it is not awake.
            NotDrainedError: its tasks did not end; it is awake.
            HiveError: it could not be checkpointed; it is awake.
        """
        wait_s = self._app.settings.sleep.drain_s if drain_s is None else drain_s
        began_us = self._store.server_time_ms() * 1000
        seen = self.move(agent, AgentEvent.SLEEP, reason=reason, term_s=wait_s + CHECKPOINT_S)
        try:
            self._drain(agent, wait_s)
            self._checkpoint(agent, began_us)
        except BrokerGoneError:
            # It counts as awake once its term is over.
            raise
        except Exception as error:
            self._try(agent, seen, AgentEvent.FAILED, failure=str(error))
            raise
        self._follow(agent, seen, AgentEvent.CHECKPOINTED)

    def wake(self, agent: str, reason: str) -> None:
        """Wake an agent where it was, and let its messages go on.

        Raises:
            AgentStateError: it neither sleeps nor is about to.
            HiveError: it has no valid checkpoint; it is in state ``error``.
        """
        seen = self.move(agent, AgentEvent.WAKE, reason=reason, term_s=self._app.settings.sleep.wake_s)
        if seen.state is AgentState.PREPARING_WAKE:
            self.restore(agent, seen)
        else:
            self._store.agent_release(agent)

    def restore(self, agent: str, seen: Seen) -> None:
        """Read the checkpoint of an agent that is about to wake, and wake it.

        Raises:
            HiveError: there is none that is valid; the agent is in state ``error``.
        """
        try:
            self._read(agent)
        except BrokerGoneError:
            raise
        except Exception as error:
            self._try(agent, seen, AgentEvent.FAILED, failure=str(error))
            raise
        self._follow(agent, seen, AgentEvent.RESTORED)
        self._store.agent_release(agent)

    def reset(self, agent: str) -> None:
        """Let an agent in state ``error`` go on without what could not be restored.

        Raises:
            AgentStateError: it is in no such state.
        """
        self.move(agent, AgentEvent.RESET, reason="without its state")
        self._store.agent_release(agent)

    @contextmanager
    def consolidating(self, agent: str) -> Iterator[None]:
        """Hold an agent in the state ``consolidating`` for a block; if that fails, it sleeps on and the failure is recorded.

        A message wakes the agent meanwhile: what the block has done then stands or falls by itself.

        Raises:
            AgentStateError: it does not sleep.
        """
        term_s = self._app.settings.sleep.consolidate_s
        seen = self.move(agent, AgentEvent.CONSOLIDATE, term_s=term_s)
        try:
            yield
        except BaseException as error:
            self._try(agent, seen, AgentEvent.FAILED, failure=f"consolidation: {error}")
            raise
        self._try(agent, seen, AgentEvent.CONSOLIDATED)

    def move(self, agent: str, event: AgentEvent, *, reason: str = "", term_s: float | None = None) -> Seen:
        """Let an event happen to an agent, once; a passing state whose time is over is left first.

        Raises:
            AgentStateError: it may not happen in the agent's state.
        """
        seen = self.settle(agent)
        while True:
            state = after(seen.state, event)
            if state is None:
                raise AgentStateError(agent, seen.state, event)
            seen = self._moved(agent, seen, state, term_s=term_s, reason=reason)
            if seen.done:
                return seen
            seen = self.settle(agent)

    def settle(self, agent: str, seen: Seen | None = None) -> Seen:
        """Return where an agent is, having moved it out of a passing state whose time is over."""
        seen = seen or self._store.agent_seen(agent)
        while seen.until_ms and seen.until_ms <= self._store.server_time_ms():
            event = overdue(seen.state, seen.strikes)
            state = after(seen.state, event)
            if state is None:
                raise AgentStateError(agent, seen.state, event)
            failure = f"{seen.state.value} was not ended in time: its process died"
            logger.warning("agent %r: %s", agent, failure)
            strikes = seen.strikes + 1 if seen.state is AgentState.PREPARING_WAKE else 0
            moved = self._store.agent_move(agent, seen.token, state, by=self._name, failure=failure, strikes=strikes)
            if moved.done and state is AgentState.AWAKE:
                self._store.agent_release(agent)
            # The move was ours, or somebody else's: for whoever asks, nothing of his own was done.
            seen = replace(moved, done=False)
        return seen

    def running_count(self, agent: str) -> int:
        """Return how many messages of an agent run; it forgets those whose delivery ended where nobody could note it."""
        record = self._store.agent(agent)
        running = record.running if record else {}
        gone = [(id_, where) for id_, where in running.items() if not self._store.is_in_flight(where)]
        if gone:
            self._store.agent_leave(agent, gone)
        return len(running) - len(gone)

    @property
    def _name(self) -> str:
        return f"{socket.gethostname()}:{os.getpid()}"

    def _moved(
        self, agent: str, seen: Seen, state: AgentState, *, term_s: float | None, reason: str = "", failure: str = ""
    ) -> Seen:
        is_passing = state not in {AgentState.AWAKE, AgentState.SLEEPING, AgentState.ERROR}
        strikes = seen.strikes if state in {AgentState.PREPARING_WAKE, AgentState.SLEEPING} else 0
        return self._store.agent_move(
            agent,
            seen.token,
            state,
            by=self._name,
            term_s=term_s if is_passing else None,
            reason=reason,
            failure=failure,
            strikes=strikes,
        )

    def _follow(self, agent: str, seen: Seen, event: AgentEvent) -> None:
        """Let an event follow from a move of ours.

        Raises:
            AgentStateError: somebody else has moved the agent since.
        """
        now = self._try(agent, seen, event)
        if not now.done:
            raise AgentStateError(agent, now.state, event)

    def _try(self, agent: str, seen: Seen, event: AgentEvent, failure: str = "") -> Seen:
        state = after(seen.state, event)
        if state is None:
            raise AgentStateError(agent, seen.state, event)
        now = self._moved(agent, seen, state, term_s=None, failure=failure)
        if now.done and state is AgentState.AWAKE:
            self._store.agent_release(agent)
        return now

    def _drain(self, agent: str, wait_s: float) -> None:
        """Wait until nothing of an agent runs; what died meanwhile is not waited for."""
        ends_s, look_s, pause = self._clock.monotonic_s() + wait_s, FIRST_LOOK_S, threading.Event()
        while True:
            running_count = self.running_count(agent)
            if not running_count:
                return
            if self._clock.monotonic_s() >= ends_s:
                raise NotDrainedError(agent, running_count)
            pause.wait(look_s)
            look_s = min(look_s * 2, LONGEST_LOOK_S)

    def _checkpoint(self, agent: str, began_us: int) -> None:
        """Write the checkpoint with which an agent sleeps; one of a newer delivery is not overwritten."""
        checkpoints = self._app.checkpoints
        last = checkpoints.read(agent)
        state = last.state if last else {}
        if self.on_sleep is not None:
            state = _hooked(agent, self.on_sleep, state)
        # Tokens of deliveries are the broker's microseconds, too, or above them for an hour after a failover.
        token = max(began_us, (last.fencing_token or 0) if last else 0)
        checkpoints.write(agent, state, kind=Kind.PRE_SLEEP, fencing_token=token)

    def _read(self, agent: str) -> None:
        found = self._app.checkpoints.read(agent)
        if found is None:
            raise HiveError(
                f"agent {agent!r} slept with a checkpoint, and {self._app.checkpoints.place} has none: several hosts need "
                "one database (checkpoints.database_url)"
            )
        if self.on_wake is not None:
            _hooked(agent, self.on_wake, found.state)


def _hooked(agent: str, hook: Callable[[str, Any], Any], state: Any) -> Any:
    """Call a hook, so that whoever sees to many agents can tell its failure from one of his own."""
    try:
        return hook(agent, state)
    except HiveError:
        raise
    except Exception as error:
        raise HookError(agent, repr(error)) from error
