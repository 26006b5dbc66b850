"""What operators do, each in a process of its own that may be told to die on the way; everything here may be repeated.

``python -m tests.chaos.operators ACTION``, told by ``CHAOS`` as a worker is.
"""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

from hive import Hive
from hive.cli.queue import adopt_all, release_all
from hive.resilience.breaker import BreakerState
from hive.store.store import Store
from tests.chaos import workload
from tests.chaos.kinds import DEPENDENCY
from tests.chaos.workload import QUEUE

#: A queue that is given up with what waits there.
GIVEN_UP = "chaos-given-up"

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


ACTIONS: dict[str, Callable[[Store, Hive, Path], None]] = {
    action.__name__: action for action in (release, adopt, redrive, edit, transfer, give_up, revoke, breakers, ping)
}

if __name__ == "__main__":
    application = workload.app
    ACTIONS[sys.argv[1]](application.access.store, application, Path(workload.TOLD.directory))
