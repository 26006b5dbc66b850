"""Deaths and damage for checkpoints: a writer that is killed at a point, and flips of random bytes.

A writer is a fork: it writes states of an agent, and says each generation once ``write`` has returned.
"""

import hashlib
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

from hive.checkpoints import Checkpoint, CheckpointStore, Source
from tests.support.checkpoint_sides import Sides, broker_store
from tests.support.eventually import eventually

AGENT = "victim"

#: What a writer's sessions are called in PostgreSQL.
SESSION = "hive-test-writer"

#: Every step of a write, in order; ``before`` and ``after`` are those of the script on the broker.
POINTS = (
    "packed", "looked", "sealed", "begun", "head moved", "row added", "pruned", "committed",
    "before keep_checkpoint", "after keep_checkpoint", "cached",
)  # fmt: skip


def state_of(seed: int, number: int) -> dict[str, Any]:
    """Return a state that tells whether it is whole: it holds the digest of all the rest."""
    rng = random.Random(seed * 1_000_003 + number)
    body = {
        "number": number,
        "text": rng.randbytes(rng.randrange(1, 60_000)).hex(),
        "same": "x" * rng.randrange(50_000),
    }
    return {**body, "digest": hashlib.sha256(json.dumps(body).encode()).hexdigest()}


def is_whole(state: dict[str, Any]) -> bool:
    """Whether a state is one that was written, all of it."""
    body = {key: value for key, value in state.items() if key != "digest"}
    return state.get("digest") == hashlib.sha256(json.dumps(body).encode()).hexdigest()


class Death:
    """A fault point that kills its process at the n-th passing of one name; 0: never."""

    def __init__(self, name: str, number: int) -> None:
        self._name, self._left = name, number

    def __call__(self, passed: str) -> None:
        if self._name == passed and self._left > 0:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Writer:
    """A process that writes until it dies.

    Args:
        sides: where it writes.
        seed: of its states.
        point: name of the fault point where it dies; none: it is killed from outside.
        number: at which passing of it.
    """

    def __init__(self, sides: Sides, seed: int, point: str = "", number: int = 0) -> None:
        self._sides = sides
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.environ["PGAPPNAME"] = SESSION
            try:
                _write(sides, random.Random(seed), Death(point, number), writing)
            finally:
                os._exit(3)
        os.close(writing)
        self._said = os.fdopen(reading, "rb")

    def first(self) -> int:
        """Wait for the first generation it was told is written."""
        return int(self._said.readline())

    def kill(self) -> None:
        """End it with SIGKILL, at whatever it is about."""
        os.kill(self.pid, signal.SIGKILL)

    def last(self) -> tuple[int, int]:
        """Wait for its end, and the end of what it had asked for; return the last generation it was told is written since, 0: none, and how it ended."""
        with self._said as said:
            told = [int(line) for line in said if line.endswith(b"\n")]
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        # PostgreSQL carries out what a client had sent before its death.
        eventually(lambda: not self._sides.sessions_of(SESSION), what="PostgreSQL has noticed the writer's end")
        return max(told, default=0), code


def _write(sides: Sides, rng: random.Random, death: Death, told: int) -> None:
    store = sides.open(at=death, keep_count=4, at_script=lambda name, when: death(f"{when} {name}"))
    while True:
        written = store.write(AGENT, state_of(rng.randrange(100), rng.randrange(10**9)))
        os.write(told, f"{written.generation}\n".encode())


def judged(store: CheckpointStore, written: int) -> Checkpoint | None:
    """Read and check what must hold after a death: nothing torn, nothing told of lost, nothing older, no damage.

    Args:
        store: as another process opens it.
        written: the last generation a writer was told is written.
    """
    found = store.read(AGENT)
    assert found is not None or written == 0
    if found is not None:
        assert is_whole(found.state), f"torn: {found.generation}"
        assert found.generation >= written, f"{found.generation} is older than {written}"
        assert (found.is_newest, found.damaged) == (True, ())
        numbers = [info.generation for info in store.list(AGENT).checkpoints]
        assert numbers[0] == found.generation
    return found


def flipped(value: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to eight of them changed at random places."""
    changed = bytearray(value or b"\0")
    for _ in range(rng.randrange(1, 9)):
        changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
    return bytes(changed)


def damage_broker(sides: Sides, rng: random.Random) -> str:
    """Flip bytes of what the broker has of the agent, and return where."""
    store = broker_store(sides.broker_url, sides.prefix)
    head, record = store._checkpoint_keys(AGENT.encode())
    client = store.client
    if rng.random() < 0.5 and client.exists(record):
        client.set(record, flipped(client.get(record), rng))
        return "record"
    fields = client.hgetall(head)
    if not fields:
        return "nothing"
    field = rng.choice(sorted(fields))
    client.hset(head, field, flipped(fields[field], rng))
    return f"head {field.decode()}"


def damage_sqlite(path: Path, rng: random.Random) -> str:
    """Flip bytes of one column of a random row, or of the head, and return where."""
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.text_factory = bytes
        table = rng.choice(["checkpoints", "checkpoints", "checkpoint_heads"])
        columns = [row[1].decode() for row in connection.execute(f"PRAGMA table_info({table})")]
        column = rng.choice(columns)
        rows = [
            row[0] for row in connection.execute(f"SELECT generation FROM {table} ORDER BY generation DESC LIMIT 3")
        ]
        if not rows:
            return "nothing"
        generation = rows[0] if rng.random() < 0.6 else rng.choice(rows)
        found = connection.execute(f"SELECT {column} FROM {table} WHERE generation = ?", (generation,)).fetchone()[0]
        if isinstance(found, int):
            changed: Any = found ^ (1 << rng.randrange(62))
        elif found is None:
            changed = rng.randbytes(4)
        else:
            changed = flipped(found, rng)
        try:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE generation = ?", (changed, generation))
        except sqlite3.IntegrityError:
            return "nothing"
    connection.close()
    return f"{table}.{column} of generation {generation}"


def damage_file(path: Path, rng: random.Random) -> str:
    """Flip bytes anywhere in the file, where it is not empty, and return where."""
    content = bytearray(path.read_bytes())
    used = [place for place, byte in enumerate(content) if byte]
    chosen = [rng.choice(used) for _ in range(rng.randrange(1, 5))]
    for place in chosen:
        content[place] ^= rng.randrange(1, 256)
    path.write_bytes(content)
    return f"file at {chosen}"


def judged_after_damage(store: CheckpointStore, newest: int) -> Checkpoint:
    """Read and check what must hold after damage: a whole state, and whatever is not the newest is said to be older."""
    found = store.read(AGENT)
    assert found is not None
    assert is_whole(found.state)
    if found.generation < newest:
        assert not found.is_newest or found.damaged, f"{found.generation} was given for {newest} without a word"
        assert found.damaged
    else:
        assert found.generation == newest
    if found.damaged and found.source is Source.DATABASE:
        assert all(damage.reason for damage in found.damaged)
    return found
