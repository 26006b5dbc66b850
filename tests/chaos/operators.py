"""What operators do, each in a process of its own that may be told to die on the way; everything here may be repeated.

``python -m tests.chaos.operators ACTION``, told by ``CHAOS`` as a worker is.
"""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from hive import Hive
from hive.agents.lifecycle import AgentState
from hive.agents.sleep_policy import SleepPolicy
from hive.cli.queue import adopt_all, release_all
from hive.resilience.breaker import BreakerState
from hive.runtime.durable.task import Written
from hive.store.beat_entries import BEAT, BeatEntries, Fired, Firing, fire
from hive.store.checkpoints import KeptHead
from hive.store.leadership import Leadership
from hive.store.lifecycles import where_of
from hive.store.scaling import SCALING
from hive.store.store import Store
from hive.store.values import ConsumerInfo, Outgoing
from hive.transport import envelope
from tests.chaos import workload
from tests.chaos.kinds import DEPENDENCY, EVENT
from tests.chaos.workload import QUEUE
from tests.support.eventually import eventually

#: A queue that is given up with what waits there.
GIVEN_UP = "chaos-given-up"

#: Id of the task that waits for a signal.
SIGNALLED = "signalled"

SOMEBODY = ConsumerInfo(node="somebody", pid=1, version="0", started_ms=0)

#: File with the ids of tasks that are to be revoked, one in a line.
REVOKED = "revoked"


def release(store: Store, *_: object) -> None:
    """Give everything that waits back to plain lists."""
    release_all(store, QUEUE)


def adopt(store: Store, *_: object) -> None:
    """Take over what stock workers left."""
    adopt_all(store, lambda _, key: [key], 0.0)


def redrive(store: Store, *_: object) -> None:
    """Move all dead letters back."""
    store.redrive(QUEUE, store.dead_ids(QUEUE))


def edit(store: Store, *_: object) -> None:
    """Replace the bytes of all dead letters by the same."""
    for letter in store.dead_read(QUEUE, store.dead_ids(QUEUE)):
        store.dead_edit(letter, letter.payload)


def transfer(store: Store, _: Hive, directory: Path) -> None:
    """Export all dead letters, remove them, and import them again."""
    export = directory / "export"
    if not export.exists():
        export.write_bytes(pickle.dumps(tuple(store.dead_read(QUEUE, store.dead_ids(QUEUE)))))
    letters = pickle.loads(export.read_bytes())
    store.dead_remove(QUEUE, [letter.id for letter in letters], "purged")
    store.dead_import(QUEUE, letters)


def give_up(store: Store, *_: object) -> None:
    """Delete a queue with all that waits there."""
    store.delete_queue(GIVEN_UP)


def revoke(_: Store, app: Hive, directory: Path) -> None:
    """Revoke tasks that wait for their time."""
    app.control.revoke((directory / REVOKED).read_text().splitlines())


def breakers(store: Store, *_: object) -> None:
    """Open a breaker for a moment, look at it, and close it."""
    store.breaker_force(DEPENDENCY, BreakerState.OPEN, 60.0)
    store.breaker(DEPENDENCY)
    store.breaker_force(DEPENDENCY, BreakerState.CLOSED)


def ping(_: Store, app: Hive, __: Path) -> None:
    """Ask who is there; the answers come to a queue that expires."""
    app.control.ping(timeout=1.0)


def signal(store: Store, app: Hive, _: Path) -> None:
    """Let a task go on that waits for a signal."""
    written = Written(app.conf.result_serializer, 1_000)
    store.signal_run(SIGNALLED, EVENT, written.encode(None, SIGNALLED))


def lead(store: Store, *_: object) -> None:
    """Lead a fleet's scaling for a moment; whoever led and died is followed once its hold is over."""
    leadership = Leadership(store, SCALING, holder=uuid4().hex, hold_s=1.0)
    term = eventually(leadership.campaign, what="the lead")
    assert leadership.note(term, {"size": b"1"})
    assert [found.queue for found in store.demand([QUEUE])] == [QUEUE]
    assert store.record_scaling("chaos", "one slot", term=term.number, changed=True)
    assert leadership.current()
    assert leadership.resign()


def beat(store: Store, *_: object) -> None:
    """Lead beat for a moment: put an entry, leave one due time of it out, send for the next, once, and forget it."""
    leadership = Leadership(store, BEAT, holder=uuid4().hex, hold_s=1.0)
    term = eventually(leadership.campaign, what="the lead")
    entries = BeatEntries(store)
    assert entries.put({"entry": b"{}"}, term)
    for paused in (True, False):
        assert entries.pause("entry", paused=paused)
    last_ms = entries.read().records["entry"].fired_ms
    assert entries.skip(Firing(entry="entry", due_ms=last_ms + 1, term=term.number, left_out=1)) is Fired.SENT
    firing = Firing(entry="entry", due_ms=last_ms + 2, term=term.number)
    message = Outgoing(queue=QUEUE, payload=b"what beat sends", message_id=uuid4().hex)
    assert [fire(store, firing, message) for _ in range(2)] == [Fired.SENT, Fired.REPEAT]
    assert entries.remove(["entry"], term) == 1
    assert leadership.resign()


def keep(store: Store, *_: object) -> None:
    """Keep an agent's checkpoint on the broker."""
    head = KeptHead(agent=b"a", generation=b"1", fencing_token=b"1", is_forgotten=b"0", seal=b"seal")
    store.keep_checkpoint(head, b"state", head_s=60, record_s=60)
    assert store.checkpoint("a") == (head, b"state")


def tend(store: Store, *_: object) -> None:
    """Lead an agent through its life: a message of it runs, one is parked while it sleeps, and goes on when it wakes."""
    consumer = uuid4().hex
    store.register(consumer, [QUEUE], SOMEBODY)
    (delivery,) = store.claim(consumer, [QUEUE], sequence=1, credit=1).deliveries
    message_id = envelope.message_id(envelope.read(delivery.payload)) or ""
    where = where_of(QUEUE, consumer, delivery.id.token)
    store.agent_policy("a", SleepPolicy(idle_s=60))
    store.agent_enter("a", message_id, where)
    store.agent_leave("a", [(message_id, where)])
    asleep = store.agent_move("a", store.agent_seen("a").token, AgentState.SLEEPING, by="a test")
    assert (asleep.done, asleep.state) == (True, AgentState.SLEEPING)
    store.agent_park(consumer, delivery.id, message_id, "a", token=asleep.token, due_ms=None)
    store.signal_agent("a", EVENT, b"")
    store.agent_move("a", asleep.token, AgentState.AWAKE, by="a test")
    assert store.agent_release("a") >= 1
    store.unregister(consumer, [QUEUE])


ACTIONS: dict[str, Callable[[Store, Hive, Path], None]] = {
    action.__name__: action
    for action in (
        release,
        adopt,
        redrive,
        edit,
        transfer,
        give_up,
        revoke,
        breakers,
        ping,
        signal,
        lead,
        beat,
        keep,
        tend,
    )
}

if __name__ == "__main__":
    application = workload.app
    ACTIONS[sys.argv[1]](application.access.store, application, Path(workload.TOLD.directory))
