"""Where agents are in their lives, on the broker: one hash for each, moved from state to state by compare and set."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hive.agents.lifecycle import AgentState
from hive.agents.sleep_policy import SleepPolicy
from hive.store.caller import Caller
from hive.store.faults import translated
from hive.store.turn import Fair, mark_of
from hive.store.values import DeliveryId, Outcome

#: Agents that are read, or messages that are released, in one round trip.
PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a step on an agent found.

    Attributes:
        done: whether it was carried out.
        state: the agent is in.
        token: grows with each move; a move names the one it saw.
        until_ms: when a passing state is over, on the broker's clock; 0: it lasts.
        wakes_on_message: whether a message wakes it; None: as the settings say.
        strikes: wakes in a row that timed out.
    """

    done: bool
    state: AgentState
    token: int
    until_ms: int = 0
    wakes_on_message: bool | None = None
    strikes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """All that is known of an agent.

    Attributes:
        name: its name.
        state: it is in.
        token: of its last move.
        since_ms: since when.
        until_ms: when a passing state is over; 0: it lasts.
        active_ms: when a message of it last began or ended.
        by: who moved it.
        reason: why it was asked to sleep or wake.
        failure: the last one; empty: none.
        failed_ms: when that was; 0: never.
        strikes: wakes in a row that timed out.
        running: message id to where it runs.
        waiting_count: messages that wait because it is not awake.
        policy: when it sleeps; None: as the settings say.
        messages_count: messages of it that have run, each as often as it was let in.
    """

    name: str
    state: AgentState
    token: int
    since_ms: int
    until_ms: int
    active_ms: int
    by: str
    reason: str
    failure: str
    failed_ms: int
    strikes: int
    running: Mapping[str, str]
    waiting_count: int
    policy: SleepPolicy | None
    messages_count: int = 0


class Lifecycles(Caller):
    """Agents: which are there, where they are in their lives, what runs of them and what waits. They share a slot."""

    def agent_enter(self, agent: str, message_id: str, where: str) -> Seen:
        """Let a message of an agent run, if that is awake. An agent is known from its first message. Safe to repeat.

        Args:
            agent: its name.
            message_id: of the message.
            where: it runs: see :func:`where_of`.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        keys = self._agent(agent, "agent", "names", "running", "waiting")
        return _seen(self.call("agent_enter", keys, self.now_argument(), agent, message_id, where))

    def agent_seen(self, agent: str) -> Seen:
        """Return where an agent is; one that nobody has named is awake. Nothing is changed.

        Raises:
            BrokerGoneError: no reply.
        """
        names = ("state", "token", "until_ms", "wakes", "strikes")
        with translated("agent_seen"):
            found = self.client.hmget(self._agent(agent, "agent")[0], names)
        defaults = (b"awake", b"0", b"0", b"-1", b"0")
        state, *numbers = (value or default for value, default in zip(found, defaults, strict=True))
        return _seen([0, state, *map(int, numbers)])

    def agent_leave(self, agent: str, messages: Iterable[tuple[str, str]]) -> int:
        """Note that messages (ids, and where they ran) run no longer; returns how many still do. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        arguments = [part for message in messages for part in message]
        return int(
            self.call("agent_leave", self._agent(agent, "names", "running"), self.now_argument(), agent, *arguments)
        )

    def agent_move(
        self,
        agent: str,
        token: int,
        state: AgentState,
        *,
        by: str,
        term_s: float | None = None,
        reason: str = "",
        failure: str = "",
        strikes: int = 0,
    ) -> Seen:
        """Move an agent, if nobody has moved it since ``token`` was seen; the caller knows that it may.

        A repeat after a lost reply is refused, and shows where the agent is.

        Args:
            agent: its name.
            token: of the move before, 0 for an agent that nobody has named.
            state: the new one.
            by: who moves it, for people.
            term_s: seconds after which a passing state is over.
            reason: why it is asked to; empty: as before.
            failure: what did not succeed; empty: nothing new.
            strikes: wakes in a row that timed out.

        Raises:
            BrokerGoneError: no reply; look where it is.
        """
        keys = self._agent(agent, "agent", "names", "passing")
        term_ms = "" if term_s is None else round(term_s * 1000)
        arguments = [agent, token, state.value, term_ms, by, reason, failure, strikes]
        return _seen(self.call("agent_move", keys, self.now_argument(), *arguments))

    def agent_park(
        self,
        consumer: str,
        id_: DeliveryId,
        message_id: str,
        agent: str,
        *,
        token: int,
        due_ms: int | None,
        fair: Fair | None = None,
    ) -> Outcome:
        """Let a delivery wait on the broker, uncounted, until its agent is awake. Safe to repeat.

        Args:
            consumer: who holds it.
            id_: the delivery.
            message_id: its id.
            agent: whose it is.
            token: of the agent, as the caller saw it; if it has moved since, the message is due at once.
            due_ms: when it is looked at again anyway; None: only when the agent is released.
            fair: whose turn it waits for then.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        names = self.queue_keys(id_.queue)
        keys = [
            *names.keys("consumers", "counters"),
            *names.of_consumer(consumer)[:2],
            *names.keys("scheduled", "scheduled:messages", "parked", "wake"),
            *self._agent(agent, "agent", "waiting"),
        ]
        due = "" if due_ms is None else due_ms
        arguments = [consumer, id_.token, message_id, id_.queue, token, due, mark_of(fair)]
        return Outcome(self.call("agent_park", keys, self.now_argument(), *arguments))

    def agent_release(self, agent: str) -> int:
        """Let all messages go on that wait for an agent; returns how many did. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        (waiting,) = self._agent(agent, "waiting")
        with translated("agent_release"):
            found = self.client.hgetall(waiting)
        by_queue: dict[str, list[bytes]] = defaultdict(list)
        for message_id, queue in found.items():
            by_queue[queue.decode()].append(message_id)
        count = 0
        for queue, ids in by_queue.items():
            keys = [waiting, *self.queue_keys(queue).keys("scheduled", "parked", "wake")]
            for first in range(0, len(ids), PAGE):
                count += int(self.call("agent_release", keys, self.now_argument(), *ids[first : first + PAGE]))
        return count

    def agent_policy(self, agent: str, policy: SleepPolicy) -> None:
        """Set when an agent sleeps and what wakes it. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
            BrokerFullError: no room for it.
        """
        table, wakes = json.dumps(policy.as_table()), int(policy.wakes_on_message)
        self.call("agent_policy", self._agent(agent, "agent", "names"), self.now_argument(), agent, table, wakes)

    def agent_forget(self, agent: str) -> None:
        """Forget an agent: its state, its policy, and its place among the others. A message for it makes it known anew.

        What waits for it stays on record: whoever calls releases it before and after. Safe to repeat.
        """
        agent_key, running, names, passing = self._agent(agent, "agent", "running", "names", "passing")
        with translated("agent_forget"), self.client.pipeline() as pipeline:
            pipeline.unlink(agent_key, running)
            pipeline.zrem(names, agent)
            pipeline.zrem(passing, agent)
            pipeline.execute()

    def agent(self, name: str) -> AgentRecord | None:
        """Return what is known of an agent; None: nobody has named it."""
        return next(iter(self.agents([name])), None)

    def agents(self, names: Sequence[str] | None = None) -> tuple[AgentRecord, ...]:
        """Return all agents, or some of them, by name; 500 in one round trip."""
        with translated("agents"):
            chosen = self.agent_names() if names is None else list(names)
            records: list[AgentRecord] = []
            for first in range(0, len(chosen), PAGE):
                records += self._page(chosen[first : first + PAGE])
        return tuple(sorted(records, key=lambda record: record.name))

    def agent_names(self) -> list[str]:
        """Return the names of all agents, the longest idle first."""
        with translated("agents"):
            return [name.decode() for name in self.client.zrange(self._agent("", "names")[0], 0, -1)]

    def agents_overdue(self, count: int = PAGE) -> list[str]:
        """Return agents whose passing state is over: who was going through it with them said nothing for too long."""
        (passing,) = self._agent("", "passing")
        with translated("agents"):
            found = self.client.zrange(passing, "-inf", self.server_time_ms(), byscore=True, offset=0, num=count)
        return [name.decode() for name in found]

    def is_in_flight(self, where: str) -> bool:
        """Whether the delivery that a message was noted to run for is still there."""
        queue, consumer, token = where.rsplit(" ", 2)
        with translated("in_flight"):
            return bool(self.client.hexists(self.queue_keys(queue).of_consumer(consumer)[0], token))

    def _page(self, names: Sequence[str]) -> list[AgentRecord]:
        with self.client.pipeline(transaction=False) as pipeline:
            for name in names:
                agent, running, waiting, known = self._agent(name, "agent", "running", "waiting", "names")
                pipeline.hgetall(agent)
                pipeline.hgetall(running)
                pipeline.hlen(waiting)
                pipeline.zscore(known, name)
            found = pipeline.execute()
        parts = zip(names, found[::4], found[1::4], found[2::4], found[3::4], strict=True)
        return [_record(name, fields, *rest) for name, fields, *rest in parts if fields]

    def _agent(self, agent: str, *kinds: str) -> list[str]:
        of_all = {"names", "passing"}
        return [self.layout.shared("hive:agents", *((kind,) if kind in of_all else (kind, agent))) for kind in kinds]


def where_of(queue: str, consumer: str, token: int) -> str:
    """Return how it is noted where a message runs."""
    return f"{queue} {consumer} {token}"


def _seen(reply: Sequence[Any]) -> Seen:
    done, state, token, until_ms, wakes, strikes = reply
    return Seen(
        done=bool(done),
        state=AgentState(state.decode()),
        token=token,
        until_ms=until_ms,
        wakes_on_message=None if wakes < 0 else bool(wakes),
        strikes=strikes,
    )


def _record(
    name: str, fields: Mapping[bytes, bytes], running: Mapping[bytes, bytes], waiting_count: int, active_ms: Any
) -> AgentRecord:
    text = {key.decode(): value.decode() for key, value in fields.items()}
    return AgentRecord(
        name=name,
        state=AgentState(text["state"]),
        token=int(text["token"]),
        since_ms=int(text.get("since_ms", 0)),
        until_ms=int(text.get("until_ms", 0)),
        active_ms=int(active_ms or 0),
        by=text.get("by", ""),
        reason=text.get("reason", ""),
        failure=text.get("failure", ""),
        failed_ms=int(text.get("failed_ms", 0)),
        strikes=int(text.get("strikes", 0)),
        running={key.decode(): value.decode() for key, value in running.items()},
        waiting_count=waiting_count,
        policy=SleepPolicy.of_table(json.loads(text["policy"])) if "policy" in text else None,
        messages_count=int(text.get("messages", 0)),
    )
