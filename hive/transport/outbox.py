"""What a consumer owes the broker: steps of deliveries that are not confirmed yet. Every one is safe to repeat."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hive.guards.guard import AgentWait
from hive.store.condemned import Condemned, Postponed
from hive.store.store import Store
from hive.store.turn import Fair
from hive.store.values import DeliveryId, Due, Fate, Outcome

Outcomes = dict[DeliveryId, Outcome]

#: Deliveries that one round trip ends at most.
STEP_DELIVERIES = 500

#: Dead letters that one round trip makes at most; each may come with a traceback.
STEP_DEAD_LETTERS = 100

_OUTCOME_OF_POSTPONED = {Postponed.STALE: Outcome.STALE, Postponed.ALREADY: Outcome.ALREADY}
_OUTCOME_OF = {Fate.STALE: Outcome.STALE, Fate.ALREADY: Outcome.ALREADY}


@dataclass(slots=True, kw_only=True)
class Step:
    """Deliveries that end in the same way, in one round trip.

    Attributes:
        word: what is done to them, for the log.
        deliveries: which.
        send: does it and returns what became of each.
    """

    word: str
    deliveries: list[DeliveryId] = field(default_factory=list)
    send: Callable[[Store, str], Outcomes]


class Outbox:
    """A list of steps, the oldest first; acknowledgements, hand-backs and waits gather in one step each."""

    def __init__(self) -> None:
        self._finishing: deque[DeliveryId] = deque()
        self._returning: deque[DeliveryId] = deque()
        self._condemned: deque[Condemned] = deque()
        self._waiting: deque[Due] = deque()
        self._single: deque[Step] = deque()

    def __bool__(self) -> bool:
        return len(self) > 0

    def __len__(self) -> int:
        beside = len(self._condemned) + len(self._waiting) + len(self._single)
        return len(self._finishing) + len(self._returning) + beside

    def finish(self, delivery: DeliveryId) -> None:
        """Note an acknowledgement."""
        self._finishing.append(delivery)

    def requeue(self, delivery: DeliveryId) -> None:
        """Note a hand-back."""
        self._returning.append(delivery)

    def put_last(self, delivery: DeliveryId) -> None:
        """Note that a delivery goes back behind all others."""

        def send(store: Store, consumer: str) -> Outcomes:
            return {delivery: store.requeue(consumer, [delivery], to_end=True)[0]}

        self._single.append(Step(word="requeue to the end", deliveries=[delivery], send=send))

    def died(self, delivery: DeliveryId, how: str) -> None:
        """Note the death of a pool child under a delivery."""
        self._add("death", delivery, lambda store, consumer: _fate(store.reject(consumer, delivery, how)))

    def dead_letter(self, condemned: Condemned) -> None:
        """Note that a delivery is to be set aside."""
        self._condemned.append(condemned)

    def postpone(self, condemned: Condemned, grace_s: float, look_s: float, on_over: Callable[[], None]) -> None:
        """Note that a delivery waits for a worker that knows its task, and is set aside when its grace time is over."""

        def act(store: Store, consumer: str) -> Outcome:
            waits = store.postpone(consumer, condemned.id, condemned.message_id or "", grace_s=grace_s, look_s=look_s)
            if waits is not Postponed.OVER:
                return _OUTCOME_OF_POSTPONED.get(waits, Outcome.DONE)
            outcome = store.set_aside(consumer, [condemned])[0]
            if outcome is Outcome.DONE:
                on_over()
            return outcome

        self._add("postponement", condemned.id, act)

    def reschedule(self, delivery: DeliveryId, message_id: str, due_ms: int, fair: Fair | None = None) -> None:
        """Note that a delivery waits for its time."""
        self._waiting.append(Due(id=delivery, message_id=message_id, due_ms=due_ms, fair=fair))

    def wait_for_agent(self, delivery: DeliveryId, message_id: str, wait: AgentWait, fair: Fair | None = None) -> None:
        """Note that a delivery waits until its agent is awake."""

        def act(store: Store, consumer: str) -> Outcome:
            return store.agent_park(
                consumer, delivery, message_id, wait.agent, token=wait.token, due_ms=wait.due_ms, fair=fair
            )

        self._add("wait for an agent", delivery, act)

    def _add(self, word: str, delivery: DeliveryId, act: Callable[[Store, str], Outcome]) -> None:
        def send(store: Store, consumer: str) -> Outcomes:
            return {delivery: act(store, consumer)}

        self._single.append(Step(word=word, deliveries=[delivery], send=send))

    def acknowledgements(self) -> list[DeliveryId]:
        """Return deliveries whose messages have ended, as many as one round trip takes; see :meth:`acknowledged`."""
        return [self._finishing[place] for place in range(min(len(self._finishing), STEP_DELIVERIES))]

    def acknowledged(self, count: int) -> None:
        """Take the first acknowledgements off the list: the broker has confirmed them."""
        _drop(self._finishing, count)

    def condemned(self) -> list[Condemned]:
        """Return deliveries to be set aside, of one queue, as many as one round trip takes; see :meth:`buried`."""
        chosen: list[Condemned] = []
        for one in self._condemned:
            if len(chosen) == STEP_DEAD_LETTERS or (chosen and chosen[0].id.queue != one.id.queue):
                break
            chosen.append(one)
        return chosen

    def buried(self, condemned: list[Condemned]) -> None:
        """Take those off the list: the broker has set them aside. What was forgotten meanwhile is passed over."""
        for one in condemned:
            if self._condemned and self._condemned[0] is one:
                self._condemned.popleft()

    def steps(self) -> list[Step]:
        """Return what else is owed now, gathered into few round trips; :meth:`done` takes each off the list."""
        steps = []
        if self._returning:
            steps.append(_gathered("requeue", self._returning, _requeue))
        if self._waiting:
            due = [self._waiting[place] for place in range(min(len(self._waiting), STEP_DELIVERIES))]
            steps.append(Step(word="reschedule", deliveries=[one.id for one in due], send=_reschedule(due)))
        return [*steps, *self._single]

    def done(self, step: Step) -> None:
        """Take a confirmed step off the list."""
        if step.word == "requeue":
            _drop(self._returning, len(step.deliveries))
        elif step.word == "reschedule":
            _drop(self._waiting, len(step.deliveries))
        elif step in self._single:
            self._single.remove(step)

    def clear(self) -> None:
        """Forget everything: the lease is gone."""
        self._finishing.clear()
        self._returning.clear()
        self._condemned.clear()
        self._waiting.clear()
        self._single.clear()


def _gathered(word: str, queue: deque[DeliveryId], act: Callable[[Store, str, list[DeliveryId]], Outcomes]) -> Step:
    deliveries = [queue[place] for place in range(min(len(queue), STEP_DELIVERIES))]
    return Step(word=word, deliveries=deliveries, send=lambda store, consumer: act(store, consumer, deliveries))


def _requeue(store: Store, consumer: str, deliveries: list[DeliveryId]) -> Outcomes:
    return dict(zip(deliveries, store.requeue(consumer, deliveries), strict=True))


def _reschedule(waiting: list[Due]) -> Callable[[Store, str], Outcomes]:
    def send(store: Store, consumer: str) -> Outcomes:
        return dict(zip((one.id for one in waiting), store.reschedule_many(consumer, waiting), strict=True))

    return send


def _drop(queue: deque[Any], count: int) -> None:
    for _ in range(min(count, len(queue))):
        queue.popleft()


def _fate(fate: Fate) -> Outcome:
    return _OUTCOME_OF.get(fate, Outcome.DONE)
