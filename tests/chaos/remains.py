"""What is left on the broker when everything should have ended: messages, and state that tasks share."""

import json
from collections.abc import Iterator

from hive.resilience.breaker import BreakerState
from hive.resources.host import host_name
from hive.store.store import Store
from tests.chaos.fleet import Fleet, letter_task
from tests.chaos.kinds import DEPENDENCY
from tests.chaos.operators import GIVEN_UP
from tests.chaos.workload import QUEUE


def left(fleet: Fleet) -> list[str]:
    """Return what is there that ought to be gone, a sentence each."""
    store = fleet.store()
    return [*messages_left(store), *shared_left(store)]


def messages_left(store: Store) -> Iterator[str]:
    """Yield what still waits or is held in the queues, dead letters not."""
    for queue in (QUEUE, GIVEN_UP):
        stats = store.stats(queue)
        counts = {"ready": sum(stats.ready.values()), "in flight": stats.in_flight, "behind": stats.behind}
        counts |= {"scheduled": stats.scheduled, "suspect": stats.suspects}
        counts |= {f"in the lane of {worker}": count for worker, count in store.in_lanes(queue).items()}
        yield from (f"queue {queue}: {count} {where}" for where, count in counts.items() if count)
        yield from (
            f"queue {queue}: a lane of {lane.worker}, which is dead" for lane in store.lanes(queue) if not lane.is_alive
        )
        now_ms = store.server_time_ms()
        for record in store.consumers(queue):
            if record.lease_end_ms < now_ms:
                yield f"queue {queue}: consumer {record.consumer}, whose lease has ended"
        keys = store.client.zcount(store.queue_keys(queue).key("unique", "expiry"), now_ms, "+inf")
        if keys:
            yield f"queue {queue}: {keys} keys of unique tasks"


def shared_left(store: Store) -> Iterator[str]:
    """Yield what tasks hold of limits, breakers, hosts and waiting retries."""
    for limit in store.limits():
        if limit.name.startswith("concurrency") and limit.used:
            yield f"limit {limit.name}: {limit.used:g} places"
    breaker = store.breaker(DEPENDENCY)
    if breaker is not None and (breaker.probes_out or breaker.view.state is not BreakerState.CLOSED):
        yield f"breaker {DEPENDENCY}: {breaker.view.state.name.lower()}, {breaker.probes_out} probes out"
    booked = store.bookings(host_name())
    if booked:
        yield f"{len(booked)} bookings"
    held = store.held_retries(DEPENDENCY)
    if held:
        yield f"{held} retries that wait for {DEPENDENCY}"


def whereabouts(fleet: Fleet, ids: set[str]) -> list[str]:
    """Say of each task where its message is, on how often it started and finished so far."""
    store = fleet.store()
    places: dict[str, list[str]] = {id_: [] for id_ in ids}
    for place, payload in _envelopes(store):
        try:
            id_, message_id = letter_task(payload), json.loads(payload)["headers"]["id"]
        except (ValueError, KeyError, TypeError, IndexError):
            continue
        if id_ in places:
            places[id_].append(f"{place} as {message_id}")
    return [
        f"task {id_} (started {len(fleet.ledger.starts.get(id_, ()))} times): {', '.join(found) or 'nowhere'}"
        for id_, found in sorted(places.items())
    ]


def _envelopes(store: Store) -> Iterator[tuple[str, bytes]]:
    """Yield every message of the queue with its place."""
    names, client = store.queue_keys(QUEUE), store.client
    lists = {f"ready in {QUEUE}": names.ready, "suspect": (names.key("suspects"),)}
    lists |= {f"in the lane of {lane.worker}": names.lane(lane.worker) for lane in store.lanes(QUEUE)}
    for place, keys in lists.items():
        for key in keys:
            yield from (
                (place, payload.partition(b":")[2] if place == "suspect" else payload)
                for payload in client.lrange(key, 0, -1)
            )
    now_ms = store.server_time_ms()
    for message in store.scheduled(QUEUE, count=1_000):
        yield f"scheduled in {message.due_ms - now_ms} ms", message.payload
    for record in store.consumers(QUEUE):
        in_flight, started, _ = names.of_consumer(record.consumer)
        begun = client.hkeys(started)
        for token, held in client.hgetall(in_flight).items():
            how = "started" if token in begun else "not started"
            yield (
                f"in flight at {record.consumer}, {how}, lease for {record.lease_end_ms - now_ms} ms",
                held.split(b":", 2)[2],
            )
    for letter in store.dead_letters(QUEUE, count=1_000):
        yield f"a dead letter ({letter.reason})", letter.payload
    for _, fields in client.xrange(names.key("fair", "messages")):
        yield "behind, in its turn", fields[b"envelope"]
