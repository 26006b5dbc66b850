"""What is known of the runs of durable tasks: their steps, where they are parked, and the signals that wait for them.

A run is a task from its first start to its end, over deliveries and retries. Its record stands beside its message, on the
same broker, and is as safe as that. All changes but signals name the delivery, and are refused if that is not current.
"""

import json
from collections.abc import Mapping
from typing import Any

from hive.errors import InputError
from hive.store.caller import Caller
from hive.store.faults import translated
from hive.store.run_values import Begun, Park, Place, Signalled, StepBegin, StepRecord
from hive.store.turn import Fair, mark_of
from hive.store.values import DeliveryId, Outcome

#: How long the record of a run is kept after its last use: longer than a dead letter by default waits on the broker for a
#: redrive, which goes on where the run was.
RUN_KEPT_MS = 31 * 86_400_000

#: How long a signal is kept that nobody asked for.
SIGNAL_KEPT_MS = 7 * 86_400_000

#: How long the record of a run is kept that has ended.
ENDED_KEPT_MS = 3_600_000

#: Signals for one run or agent and event that may wait.
SIGNALS_MAX = 1_000

#: Fields of a run: a step, or a wait, by its name.
STEP = "step:"


class Runs(Caller):
    """Steps, parking and signals. A run's keys share a slot; a park takes a queue's and an agent's besides."""

    def step_begin(self, consumer: str, id_: DeliveryId, task_id: str, step: str, *, again: bool = False) -> StepBegin:
        """Note that a step of a run begins, unless it is done or an earlier delivery began it. Safe to repeat.

        Args:
            consumer: who holds the delivery.
            id_: the delivery.
            task_id: whose run.
            step: its name.
            again: begin it even if an earlier delivery did.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        keys, now = self._step_keys(consumer, id_, task_id), self.now_argument()
        reply = self.call("step_begin", keys, now, consumer, id_.token, STEP + step, RUN_KEPT_MS, int(again))
        begun, told = Begun(reply[0]), reply[1]
        if begun is Begun.DONE:
            times, _, result = told.partition(b":")
            return StepBegin(begun=begun, unknown_count=int(times), result=result)
        return StepBegin(begun=begun, unknown_count=int(told or 0))

    def step_end(self, consumer: str, id_: DeliveryId, task_id: str, step: str, result: bytes | None) -> Outcome:
        """Keep the result of a step that this delivery began; None: it failed, and may begin anew. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        keys, now = self._step_keys(consumer, id_, task_id), self.now_argument()
        done = int(result is not None)
        return Outcome(
            self.call("step_end", keys, now, consumer, id_.token, STEP + step, RUN_KEPT_MS, done, result or b"")
        )

    def park(
        self,
        consumer: str,
        id_: DeliveryId,
        place: Place,
        *,
        due_ms: int | None = None,
        wait_ms: int | None = None,
        fair: Fair | None = None,
    ) -> Park:
        """Let a delivery wait on the broker, uncounted, until its time or a signal; or go on if that is there.

        The first time a field asks fixes its time. Safe to repeat.

        Args:
            consumer: who holds the delivery.
            id_: the delivery.
            place: what waits, for what.
            due_ms: until when, on the broker's clock.
            wait_ms: or how long; neither: without an end.
            fair: whose turn the message waits for once it is due.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        names = self.queue_keys(id_.queue)
        keys = [
            *names.keys("consumers", "counters"),
            *names.of_consumer(consumer)[:2],
            *names.keys("scheduled", "scheduled:messages", "parked"),
            self._run_key(place.task_id),
            self._mailbox(place.task_id, place.event),
            *self._agent_keys(place),
        ]
        told = {"field": STEP + place.field, "event": place.event, "agent": place.agent}
        told |= {"queue": id_.queue, "message_id": place.message_id}
        reply = self.call(
            "park",
            keys,
            self.now_argument(),
            consumer,
            id_.token,
            place.message_id,
            STEP + place.field,
            "" if due_ms is None else due_ms,
            "" if wait_ms is None else wait_ms,
            place.task_id if place.event else "",
            int(bool(place.agent)),
            mark_of(fair),
            RUN_KEPT_MS,
            json.dumps(told),
        )
        if reply[0] == 1:
            return Park(outcome=Outcome.DONE, due_ms=int(reply[1]))
        if reply[0] == 2:
            return Park(outcome=Outcome.DONE, payload=reply[1].partition(b":")[2])
        return Park(outcome=Outcome(reply[0]))

    def signal_run(self, task_id: str, event: str, payload: bytes) -> Signalled:
        """Send a signal to a run; it goes on if it waits for that event, else the signal is kept until it asks.

        Not to be repeated after a lost reply: the signal may be there twice.

        Args:
            task_id: whose run.
            event: its name; empty: the run goes on, whatever it waits for.
            payload: what its wait returns.

        Raises:
            InputError: a thousand signals wait already.
            BrokerGoneError: no reply.
        """
        while True:
            place = self.parked_run(task_id)
            queue = self.queue_keys(place.queue if place else "")
            keys = [
                self._run_key(task_id),
                self._mailbox(task_id, event),
                *queue.keys("scheduled", "parked", "wake"),
                self._agent_keys(place)[1] if place else self._mailbox(task_id, "none"),
            ]
            told = place.told if place else b""
            arguments = [told, event, payload, SIGNAL_KEPT_MS, SIGNALS_MAX, task_id]
            code = self.call("signal_run", keys, self.now_argument(), *arguments)
            if code != -2:
                return _signalled(code, task_id, event)

    def signal_agent(self, agent: str, event: str, payload: bytes) -> Signalled:
        """Send a signal to whichever run of an agent has waited longest for the event, else it is kept.

        Not to be repeated after a lost reply.

        Raises:
            InputError: a thousand signals wait already.
            BrokerGoneError: no reply.
        """
        mailbox, waiters = self._agent_mailbox(agent, event)
        while True:
            with translated("signal_agent"):
                first = next(iter(self.client.zrange(waiters, 0, 0)), b"").decode()
            place = self.parked_run(first) if first else None
            queue = self.queue_keys(place.queue if place else "")
            keys = [mailbox, waiters, self._run_key(first), *queue.keys("scheduled", "parked", "wake")]
            told = place.told if place else b""
            arguments = [first, told, payload, SIGNAL_KEPT_MS, SIGNALS_MAX]
            code = self.call("signal_agent", keys, self.now_argument(), *arguments)
            if code != -2:
                return _signalled(code, agent, event)

    def parked_run(self, task_id: str) -> Place | None:
        """Return where a run was parked last; None: nowhere, or a signal has let it go on since."""
        with translated("parked_run"):
            told = self.client.hget(self._run_key(task_id), "at")
        if told is None:
            return None
        due_ms, _, where = told.partition(b":")
        found: Mapping[str, Any] = json.loads(where)
        fields = {name: found[name] for name in ("queue", "message_id", "event", "agent")}
        field = str(found["field"]).removeprefix(STEP)
        return Place(task_id=task_id, field=field, due_ms=int(due_ms), told=told, **fields)

    def run_steps(self, task_id: str) -> tuple[StepRecord, ...]:
        """Return the steps and waits of a run, in no order; none: nothing is known of it any more."""
        with translated("run_steps"):
            found = self.client.hgetall(self._run_key(task_id))
        return tuple(
            _step(name.decode().removeprefix(STEP), value)
            for name, value in found.items()
            if name.startswith(STEP.encode())
        )

    def parked_count(self, queue: str) -> int:
        """Return how many messages of a queue are parked: those of runs that wait, and of agents that are not awake."""
        names = self.queue_keys(queue)
        with translated("parked_count"):
            return int(self.client.zintercard(2, names.keys("parked", "scheduled")))

    def end_run(self, task_id: str, *, kept_ms: int = ENDED_KEPT_MS) -> bool:
        """Keep the record of a run that has ended for a last time only; whether there was one. Safe to repeat."""
        return bool(self.call("end_run", [self._run_key(task_id)], kept_ms))

    def abandon_run(self, task_id: str) -> None:
        """Forget that a run waits whose message was revoked, and keep its record for a last time. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        place = self.parked_run(task_id)
        if place is not None and place.agent:
            with translated("abandon_run"):
                self.client.zrem(self._agent_mailbox(place.agent, place.event)[1], task_id)
        self.end_run(task_id)

    def _step_keys(self, consumer: str, id_: DeliveryId, task_id: str) -> list[str]:
        names = self.queue_keys(id_.queue)
        return [*names.keys("consumers", "counters"), names.of_consumer(consumer)[0], self._run_key(task_id)]

    def _run_key(self, task_id: str) -> str:
        return self.layout.shared(f"hive:run:{task_id}", "run")

    def _mailbox(self, task_id: str, event: str) -> str:
        return self.layout.shared(f"hive:run:{task_id}", "signals", event)

    def _agent_keys(self, place: Place) -> tuple[str, str]:
        if not place.agent:
            # A run of no agent has a mailbox of its own only; these are never written.
            return self._mailbox(place.task_id, "nobody"), self._mailbox(place.task_id, "none")
        return self._agent_mailbox(place.agent, place.event)

    def _agent_mailbox(self, agent: str, event: str) -> tuple[str, str]:
        names = ("signals", "waiters")
        mailbox, waiters = (self.layout.shared("hive:agents", name, agent, event) for name in names)
        return mailbox, waiters


def _signalled(code: int, target: str, event: str) -> Signalled:
    if code == -3:
        raise InputError(f"{SIGNALS_MAX:,} signals {event!r} wait for {target!r} already: nobody asks for them")
    return Signalled(code)


def _step(name: str, value: bytes) -> StepRecord:
    mark, told = value[:1], value[1:]
    if mark == b"+":
        return StepRecord(name=name, state="done", unknown_count=int(told.partition(b":")[0]))
    if mark == b"?":
        return StepRecord(name=name, state="begun", unknown_count=int(told.partition(b":")[2]))
    return StepRecord(name=name, state="parked", unknown_count=0)
