"""Lets the messages of an agent run only while it is awake, and wakes it for them if its policy says so.

It is asked before a task takes a slot, so a sleeping agent holds none. What may not run waits on the broker, without an
attempt or a death counted, until the agent wakes.
"""

import logging
import threading
from collections import deque
from typing import Any

from hive.agents.lifecycle import AgentEvent, AgentState, after
from hive.errors import HiveError
from hive.guards.guard import RUN, AgentWait, Answer, GuardedCall, Verdict
from hive.runtime.agents.sleeping import Sleeper
from hive.runtime.durable.task import AGENT
from hive.store.faults import BrokerGoneError
from hive.store.lifecycles import Seen

logger = logging.getLogger(__name__)

#: Longest ms until a message looks again whose agent is about to sleep: it may wake it then. The term of that state is far longer.
LOOK_AGAIN_MS = 5_000

#: Threads that read checkpoints of agents that wake.
WAKERS = 4


class AgentGuard:
    """The guard of every call with an agent.

    Args:
        app: the application.
        sleeper: moves agents.
    """

    name = "agent"

    def __init__(self, app: Any, sleeper: Sleeper) -> None:
        self._app, self._sleeper = app, sleeper
        self._wakers = Wakers(sleeper)

    def ask(self, call: GuardedCall) -> Verdict:
        """Let a message run if its agent is awake; else it waits, and may have woken it."""
        agent = call.headers[AGENT]
        try:
            seen = self._entered(agent, call)
        except BrokerGoneError as error:
            logger.warning("task %s[%s] runs without its agent being asked: %s", call.task, call.id, error)
            return RUN
        if seen.done:
            return RUN
        wait = AgentWait(agent=agent, token=seen.token, due_ms=self._looks_again_ms(seen))
        return Verdict(answer=Answer.WAIT, guard=self.name, reason=f"agent {agent!r} is {seen.state.value}", agent=wait)

    def release(self, call: GuardedCall) -> None:
        """Note that a message does not run. A repeat does nothing."""
        try:
            self._app.access.store.agent_leave(call.headers[AGENT], [(call.message_id, call.where)])
        except BrokerGoneError as error:
            # Whoever waits for it sees that its delivery is gone.
            logger.warning("agent %r still counts %s as running: %s", call.headers[AGENT], call.id, error)

    def ended(self, call: GuardedCall, error: BaseException | None) -> None:  # noqa: ARG002 - however it ended
        """Note that a message runs no longer."""
        self.release(call)

    def _looks_again_ms(self, seen: Seen) -> int | None:
        """Return when a message that waits is due if nobody releases it before; None: only then."""
        if seen.state is not AgentState.PREPARING_SLEEP:
            return seen.until_ms or None
        try:
            return min(seen.until_ms, self._app.access.store.server_time_ms() + LOOK_AGAIN_MS)
        except BrokerGoneError:
            return seen.until_ms

    def _entered(self, agent: str, call: GuardedCall) -> Seen:
        store = self._app.access.store
        seen: Seen = store.agent_enter(agent, call.message_id, call.where)
        if not seen.done and seen.until_ms:
            seen = self._sleeper.settle(agent, seen)
        if not seen.done and seen.state is AgentState.AWAKE:
            seen = store.agent_enter(agent, call.message_id, call.where)
        is_asleep = seen.state in {AgentState.SLEEPING, AgentState.CONSOLIDATING}
        wakes = seen.wakes_on_message
        if wakes is None:
            wakes = self._app.settings.sleep.wakes_on_message
        if not seen.done and is_asleep and wakes:
            seen = self._woken(agent, seen)
        return seen

    def _woken(self, agent: str, seen: Seen) -> Seen:
        """Begin to wake an agent, if nobody has meanwhile."""
        state = after(seen.state, AgentEvent.WAKE)
        if state is None:
            return seen
        moved: Seen = self._app.access.store.agent_move(
            agent,
            seen.token,
            state,
            by=self._app.process.node or "worker",
            term_s=self._app.settings.sleep.wake_s,
            reason="a message",
            strikes=seen.strikes,
        )
        if not moved.done:
            return moved
        self._wakers.wake(agent, moved)
        # Moved, but not entered: the message waits until it is awake.
        return Seen(done=False, state=moved.state, token=moved.token, until_ms=moved.until_ms, strikes=moved.strikes)


class Wakers:
    """A few threads that wake agents, begun when the first one is to wake; each ends when nothing is left to do.

    Args:
        sleeper: moves agents.
    """

    def __init__(self, sleeper: Sleeper) -> None:
        self._sleeper = sleeper
        self._mutex = threading.Lock()
        self._waking: deque[tuple[str, Seen]] = deque()
        self._threads = 0

    def wake(self, agent: str, seen: Seen) -> None:
        """Have an agent woken that is about to; what cannot be done is recorded with the agent."""
        with self._mutex:
            self._waking.append((agent, seen))
            if self._threads == WAKERS:
                return
            self._threads += 1
        threading.Thread(target=self._run, name="hive-wake", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._mutex:
                if not self._waking:
                    self._threads -= 1
                    return
                agent, seen = self._waking.popleft()
            try:
                self._sleeper.restore(agent, seen)
            except HiveError as error:
                logger.warning("agent %r does not wake: %s", agent, error)
            except Exception:
                # An error of the application's own hook: it is recorded with the agent.
                logger.exception("agent %r does not wake", agent)
