"""A plain model of the store: what the scripts must do, written without Redis.

Lists are oldest first: position 0 is claimed next. Time and run id are the machine's.
"""

from dataclasses import dataclass, field

from hive.store.values import ClaimStatus, Fate, Outcome

QUEUES = ("alpha", "beta")
STEPS = (0, 3, 6, 9)
HOUR_MS = 3_600_000


@dataclass
class Message:
    id: str
    queue: str
    priority: int
    payload: bytes
    deaths: int = 0
    is_suspect: bool = False
    """Whether it waits for its time as a suspect."""
    steps: set[tuple[str, str]] = field(default_factory=set)
    """What was published from its deliveries."""


@dataclass
class Held:
    message: Message
    sequence: int
    suspect: bool = False
    started: bool = False


@dataclass
class Consumer:
    id: str
    sequence: int = 0
    lease: dict[str, int] = field(default_factory=dict)
    """End of the lease by queue; 0 while being reaped, absent when not registered."""
    held: dict[tuple[str, int], Held] = field(default_factory=dict)
    seen: set[tuple[str, int]] = field(default_factory=set)
    last: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
    alone: dict[str, int] = field(default_factory=dict)

    def registered(self, queue: str) -> bool:
        return self.lease.get(queue, 0) > 0


@dataclass
class Queue:
    name: str
    ready: dict[int, list[Message]] = field(default_factory=lambda: {step: [] for step in STEPS})
    scheduled: dict[str, tuple[int, Message]] = field(default_factory=dict)
    suspects: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)
    ticked: tuple[int, str] | None = None
    turn: tuple[str, int] | None = None
    windows: dict[int, tuple[int, set[str]]] = field(default_factory=dict)
    lanes: dict[str, dict[int, list[Message]]] = field(default_factory=dict)
    """What waits in open lanes, by worker; those of these tests are named as their consumers are."""

    def in_lanes(self) -> list[Message]:
        return [message for lane in self.lanes.values() for of_step in lane.values() for message in of_step]


class Model:
    def __init__(self, *, lease_ms: int, max_deliveries: int, max_bytes: int, dedup_ms: int) -> None:
        self.lease_ms, self.max_deliveries, self.max_bytes, self.dedup_ms = (
            lease_ms,
            max_deliveries,
            max_bytes,
            dedup_ms,
        )
        self.now_ms, self.run_id = 1_800_000_000_000, "run0"
        self.queues = {name: Queue(name) for name in QUEUES}
        self.consumers: dict[str, Consumer] = {}
        self.done: set[str] = set()
        self.settled: set[str] = set()
        """Messages whose count of deaths must be gone, because they ended while it was known whose it was."""
        self.woken: set[str] = set()
        """Queues, and lanes as ``<queue>@<worker>``, that must have a token."""
        self.published = 0
        self.long: dict[str, tuple[str, int]] = {}
        """By queue the lane that claims may steal from, and what is left to it."""
        self.more = False
        """Whether the last claim left anything to the same consumer."""

    # Publishing

    def repeat(self, queue: Queue, dedup_id: str) -> bool:
        number = self.now_ms // self.dedup_ms
        if queue.windows.get(number % 2, (None,))[0] != number:
            queue.windows[number % 2] = (number, set())
        previous = queue.windows.get((number + 1) % 2)
        if previous and previous[0] == number - 1 and dedup_id in previous[1]:
            return True
        current = queue.windows[number % 2][1]
        known = dedup_id in current
        current.add(dedup_id)
        return known

    def publish(self, message: Message, dedup_id: str | None, due_ms: int | None, lane: str | None = None) -> bool:
        queue = self.queues[message.queue]
        if dedup_id is not None and self.repeat(queue, dedup_id):
            return False
        self.published += 1
        if due_ms is None and lane is not None and self.lane_lives(queue, lane):
            queue.lanes[lane][message.priority].append(message)
            self.woken.add(f"{queue.name}@{lane}")
        elif due_ms is None:
            queue.ready[message.priority].append(message)
            self.woken.add(queue.name)
        else:
            queue.scheduled[message.id] = (due_ms, message)
        return True

    def purge(self, name: str) -> tuple[int, int, int]:
        """Forget all that waits, and what was published; return how much."""
        queue = self.queues[name]
        ready = [message for of_step in queue.ready.values() for message in of_step]
        ready += queue.in_lanes()
        scheduled = [message for _, message in queue.scheduled.values()]
        self.done |= {message.id for message in ready + scheduled + queue.suspects}
        counts = len(ready), len(scheduled), len(queue.suspects)
        queue.ready = {step: [] for step in STEPS}
        queue.scheduled, queue.suspects, queue.windows = {}, [], {}
        queue.lanes = {worker: new_lane() for worker in queue.lanes}
        self.woken.discard(name)
        return counts

    def redrive(self, name: str, ids: list[str], to: str) -> None:
        """Make dead letters ready in a queue, the first first, with counts anew."""
        queue, target = self.queues[name], self.queues[to]
        for id_ in ids:
            (message,) = (one for one in queue.dead if one.id == id_)
            queue.dead.remove(message)
            message.queue, message.deaths, message.steps = to, 0, set()
            self.settled.discard(id_)
            target.ready[message.priority].append(message)
            self.woken.add(to)

    def promote(self, queue: Queue, *, wakes: bool) -> int:
        due = sorted((due, id_) for id_, (due, _) in queue.scheduled.items() if due <= self.now_ms)
        for _, id_ in due:
            message = queue.scheduled.pop(id_)[1]
            (queue.suspects if message.is_suspect else queue.ready[message.priority]).append(message)
        if due and wakes:
            self.woken.add(queue.name)
        return len(due)

    # Lanes

    def lane_lives(self, queue: Queue, worker: str) -> bool:
        return worker in queue.lanes and self.consumers[worker].lease.get(queue.name, 0) > self.now_ms

    def has_lane(self, worker: str) -> bool:
        return any(worker in queue.lanes for queue in self.queues.values())

    def report(self, name: str, worker: str) -> None:
        self.queues[name].lanes.setdefault(worker, new_lane())

    def drain(self, name: str, worker: str, *, anyway: bool) -> int:
        """Put what waits in a lane before all that is ready, unless its worker lives, and close it."""
        queue = self.queues[name]
        if self.lane_lives(queue, worker) and not anyway:
            return 0
        lane = queue.lanes.pop(worker, new_lane())
        for step, messages in lane.items():
            queue.ready[step][:0] = messages
        moved = sum(map(len, lane.values()))
        if moved:
            self.woken.add(name)
        return moved

    # Claiming

    def register(self, id_: str) -> Consumer:
        consumer = self.consumers[id_] = Consumer(id_)
        consumer.lease = dict.fromkeys(QUEUES, self.now_ms + self.lease_ms)
        return consumer

    def claim(
        self, consumer: Consumer, order: list[str], sequence: int, credit: int, *, idle: bool
    ) -> tuple[ClaimStatus, list[tuple[str, bytes, bool]]]:
        """Return the status and (queue, payload, suspect) in order; the caller tells the tokens by `record`."""
        self.more = False
        if any(not consumer.registered(name) for name in order):
            return ClaimStatus.UNREGISTERED, []
        if any(consumer.last.get(name, (0, []))[0] > sequence for name in order):
            return ClaimStatus.LATE, []
        if any(consumer.last.get(name, (0, []))[0] == sequence for name in order):
            return ClaimStatus.TAKEN, self.same_batch(consumer, order, sequence)
        for name in order:
            self.promote(self.queues[name], wakes=False)
        if any((name, consumer.alone.get(name)) in consumer.held for name in order):
            return ClaimStatus.ALONE, []
        with_suspects = [self.queues[name] for name in order if self.queues[name].suspects]
        if with_suspects and idle and not any(key[0] in order for key in consumer.held):
            with_suspects[0].turn = None
            self.taken = [(with_suspects[0].suspects.pop(0), True)]
            self.woken |= {name for name in order if self.queues[name].suspects or self.is_ready(name)}
        elif any(self.takes_turn(queue, consumer) for queue in with_suspects):
            return ClaimStatus.DRAIN, []
        else:
            self.taken = [(message, False) for message in self.take(consumer, order, sequence, credit)]
        return ClaimStatus.TAKEN, [(message.queue, message.payload, suspect) for message, suspect in self.taken]

    def same_batch(self, consumer: Consumer, order: list[str], sequence: int) -> list[tuple[str, bytes, bool]]:
        batch = [
            (STEPS.index(held.message.priority), order.index(name), token, held)
            for name in order
            if consumer.last.get(name, (0, []))[0] == sequence
            for token in consumer.last[name][1]
            if (held := consumer.held.get((name, token)))
        ]
        batch.sort(key=lambda item: item[:3])
        self.taken = []
        return [(held.message.queue, held.message.payload, held.suspect) for *_, held in batch]

    def takes_turn(self, queue: Queue, consumer: Consumer) -> bool:
        if queue.turn and queue.turn[0] != consumer.id and self.now_ms < queue.turn[1] <= self.now_ms + self.lease_ms:
            return False
        queue.turn = (consumer.id, self.now_ms + self.lease_ms)
        return True

    def take(self, consumer: Consumer, order: list[str], sequence: int, credit: int) -> list[Message]:
        taken: list[Message] = []
        bytes_left = self.max_bytes
        lanes = {name: lane for name in order if any((lane := self.queues[name].lanes.get(consumer.id, {})).values())}
        excess = {name: self.excess(consumer, name) for name in order}
        for step in STEPS:
            for name in order:
                lists = [lanes[name][step]] if name in lanes else []
                lists.insert(len(lists) if sequence % 4 else 0, self.queues[name].ready[step])
                while any(lists) and len(taken) < credit and bytes_left > 0:
                    taken.append(next(filter(None, lists)).pop(0))
                    bytes_left -= len(taken[-1].payload)
        for name in order:
            if bytes_left > 0 and (stolen := self.steal(name, credit - len(taken), excess[name])):
                taken += stolen
                self.more |= len(stolen) < excess[name]
            is_full = len(taken) == credit or bytes_left <= 0
            if is_full and self.is_ready(name):
                self.woken.add(name)
            self.more |= is_full and (self.is_ready(name) or any(lanes.get(name, {}).values()))
        # What was stolen comes last, but is told of by its priority.
        return sorted(taken, key=lambda message: (message.priority, order.index(message.queue)))

    def excess(self, consumer: Consumer, name: str) -> int:
        """Return by how much the lane to steal from is longer than what is left to it."""
        worker, bound = self.long.get(name, (consumer.id, 0))
        if worker == consumer.id or not self.has_lane(consumer.id):
            return 0
        return max(sum(map(len, self.queues[name].lanes.get(worker, {}).values())) - bound, 0)

    def steal(self, name: str, room: int, excess: int) -> list[Message]:
        """Take half of what a long lane has above what is left to it."""
        lane = self.queues[name].lanes.get(self.long.get(name, ("", 0))[0], {})
        left, stolen = min(room, -(-excess // 2)), list[Message]()
        for step in lane:
            while lane[step] and len(stolen) < left:
                stolen.append(lane[step].pop(0))
        return stolen

    def is_ready(self, name: str) -> bool:
        return any(self.queues[name].ready.values())

    def record(self, consumer: Consumer, sequence: int, tokens: list[tuple[str, int]]) -> None:
        """Note the tokens the broker gave to what the last claim took."""
        fresh: dict[str, list[int]] = {}
        for (message, suspect), (name, token) in zip(self.taken, tokens, strict=True):
            consumer.held[name, token] = Held(message, sequence, suspect)
            fresh.setdefault(name, []).append(token)
        for name, of_queue in fresh.items():
            consumer.last[name] = (sequence, of_queue)
            consumer.alone[name] = of_queue[0] if self.taken[0][1] else -1

    def renew(self, consumer: Consumer, order: list[str]) -> list[tuple[bool, int, int]]:
        replies = []
        for name in order:
            if not consumer.registered(name):
                replies.append((False, 0, 0))
                continue
            consumer.lease[name] = self.now_ms + self.lease_ms
            promoted = self.promote(self.queues[name], wakes=True)
            replies.append((True, sum(key[0] == name for key in consumer.held), promoted))
        return replies

    # Steps of a delivery

    def standing(self, consumer: Consumer, key: tuple[str, int]) -> Outcome:
        if not consumer.registered(key[0]):
            return Outcome.STALE
        return Outcome.DONE if key in consumer.held else Outcome.ALREADY

    def put_back(self, held: Held) -> None:
        queue = self.queues[held.message.queue]
        (queue.suspects if held.suspect else queue.ready[held.message.priority]).insert(0, held.message)
        self.woken.add(queue.name)

    def die(self, held: Held) -> Fate:
        """Count a death if it was started, and send the message on."""
        message, queue = held.message, self.queues[held.message.queue]
        if not held.started:
            self.put_back(held)
            return Fate.READY
        message.deaths += 1
        if message.deaths >= self.max_deliveries:
            queue.dead.append(message)
            self.settled.add(message.id)
            return Fate.DEAD
        self.woken.add(queue.name)
        if message.deaths == self.max_deliveries - 1:
            queue.suspects.append(message)
            return Fate.SUSPECT
        queue.ready[message.priority].insert(0, message)
        return Fate.READY

    def reconcile(self, consumer: Consumer, name: str, sequence: int) -> int:
        if not consumer.registered(name):
            return 0
        lost = sorted(
            (key for key, held in consumer.held.items()
             if key[0] == name and key not in consumer.seen and held.sequence <= sequence),
            reverse=True,
        )  # fmt: skip
        for key in lost:
            self.put_back(consumer.held.pop(key))
        return len(lost)

    # Reaping

    def tick(self, name: str) -> tuple[bool, set[str]]:
        queue = self.queues[name]
        last, queue.ticked = queue.ticked, (self.now_ms, self.run_id)
        leases = {consumer.id: consumer.lease[name] for consumer in self.consumers.values() if name in consumer.lease}
        if not last or last[1] != self.run_id or not 0 <= self.now_ms - last[0] < self.lease_ms / 2:
            for id_, end_ms in leases.items():
                if end_ms > 0:
                    backwards = last is not None and self.now_ms < last[0]
                    extended_ms = self.now_ms + self.lease_ms
                    self.consumers[id_].lease[name] = extended_ms if backwards else max(end_ms, extended_ms)
            return True, set()
        return False, {id_ for id_, end_ms in leases.items() if end_ms <= self.now_ms}

    def reap(self, consumer: Consumer, name: str) -> tuple[bool, int, int, int, int]:
        ticked = self.queues[name].ticked
        if (
            consumer.lease.get(name, self.now_ms + 1) > self.now_ms
            or not ticked
            or ticked[1] != self.run_id
            or not 0 <= self.now_ms - ticked[0] < self.lease_ms / 2
        ):
            return False, 0, 0, 0, 0
        consumer.lease[name] = 0
        counts = {Fate.READY: 0, Fate.SUSPECT: 0, Fate.DEAD: 0}
        size_bytes = 0
        for key in sorted((key for key in consumer.held if key[0] == name), reverse=True):
            if size_bytes >= self.max_bytes:
                break
            held = consumer.held.pop(key)
            size_bytes += len(held.message.payload) + len(
                f"{held.message.priority}{'!' if held.suspect else ''}:{held.sequence}:"
            )
            counts[self.die(held)] += 1
        remaining = sum(key[0] == name for key in consumer.held)
        if not remaining:
            del consumer.lease[name]
        return True, counts[Fate.READY], counts[Fate.SUSPECT], counts[Fate.DEAD], remaining


def new_lane() -> dict[int, list[Message]]:
    return {step: [] for step in STEPS}
