"""Deaths and damage for checkpoints: a writer that is killed at a point, and flips of random bytes.

Run as a command it is that writer: ``python -m tests.support.checkpoint_faults DATABASE BROKER PREFIX SEED POINT``. It writes
states of an agent and prints each generation once ``write`` has returned. POINT is ``NAME:NUMBER``, the fault point at whose
NUMBER-th passing it kills itself; number 0: never.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from hive.checkpoints import Checkpoint, CheckpointStore, Source
from tests.support.checkpoint_sides import Sides, broker_store

ROOT = Path(__file__).parents[2]
AGENT = "victim"

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
    """A fault point that kills its process at the n-th passing of one name; any name if none is given."""

    def __init__(self, point: str) -> None:
        name, _, number = point.rpartition(":")
        self._name, self._left = name, int(number)

    def __call__(self, passed: str) -> None:
        if self._left > 0 and self._name in {passed, "any"}:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def writer(sides: Sides, seed: int, point: str) -> subprocess.Popen[str]:
    """Start a writer that dies at a point."""
    command = [sys.executable, "-m", "tests.support.checkpoint_faults", sides.database_url, sides.broker_url]
    return subprocess.Popen(
        [*command, sides.prefix, str(seed), point], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def confirmed(process: subprocess.Popen[str]) -> int:
    """Wait for a writer's end and return the last generation that it was told is written; 0: none."""
    assert process.stdout is not None
    lines = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait(30)
    return int(lines[-1]) if lines else 0


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


def main() -> None:
    """Write until the death."""
    database_url, broker_url, prefix, seed, point = sys.argv[1:]
    death = Death(point)
    sides = Sides(database_url, broker_url, prefix)
    store = sides.open(at=death, keep_count=4, at_script=lambda name, when: death(f"{when} {name}"))
    rng = random.Random(int(seed))
    while True:
        number = rng.randrange(10**9)
        print(store.write(AGENT, state_of(int(seed), number)).generation, flush=True)


if __name__ == "__main__":
    main()
