"""Checkpoints of 1 MB: how long writing and reading takes, and what deaths and flipped bytes do to them.

    python benchmarks/checkpoints.py [times] [--count N] [--database sqlite postgresql] [--directory PATH]
    python benchmarks/checkpoints.py kills [--kills N] [--seed N] [--database sqlite postgresql]
    python benchmarks/checkpoints.py flips [--flips N] [--seed N]

``times`` writes and reads states of 1 MB on a broker and databases of its own: conversations of agents out of
``agent-traces`` below ``HIVE_DATA_DIR`` (left out, and said so, where they are not), and random bytes, which nothing
compresses. Each state is another one. Reads are from the broker, and with the broker emptied from the database: with the
connection that is there, and as a process that has only just begun. Beside them stands what 1 MB and a flush cost this
disk without any database, because no durable write can be quicker. PostgreSQL is measured as one that has run for a while,
whose files of its log are there to be taken again: a new cluster fills each with 16 MB of zeroes within the write that comes to
it, one in fifteen here (``--young`` measures that). ``kills`` kills writers with SIGKILL at every step and at
random instants; ``flips`` damages rows of SQLite and values of the broker. Each prints one JSON record and exits with 1 if a
bar is missed.

Caveats: writer, broker and database share the cores and the disk. The system has what it reads in memory. A disk that lies
about flushes makes writes quick and durable only in name.
"""

import argparse
import gc
import gzip
import json
import logging
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.checkpoints import Source  # noqa: E402
from hive.checkpoints.opening import open_database  # noqa: E402
from hive.errors import HiveError  # noqa: E402
from tests.support import checkpoint_faults as faults  # noqa: E402
from tests.support.checkpoint_sides import Sides  # noqa: E402
from tests.support.postgres_server import PostgresServer  # noqa: E402
from tests.support.redis_server import RedisServer  # noqa: E402

STATE_BYTES = 1_000_000
AGENTS = 4

#: Of PostgreSQL.
LOG_FILE_BYTES = 2**24

#: p99 in milliseconds.
BARS = {
    "write": 25.0,
    "read_broker": 15.0,
    "read_sqlite": 100.0,
    "read_postgresql": 150.0,
}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("times", "kills", "flips"), default="times")
    parser.add_argument("--count", type=int, default=300, help="writes of each state and database")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--database", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--young", action="store_true", help="leave the log of PostgreSQL as a new cluster has it")
    parser.add_argument("--directory", type=Path, help="where the SQLite file lies; a temporary directory if not given")
    chosen = parser.parse_args()
    # Damage is what this makes, by the thousand.
    logging.disable(logging.CRITICAL)
    record = {"times": times, "kills": kills, "flips": flips}[chosen.what](chosen)
    print(json.dumps({"what": chosen.what, "machine": machine(), "seed": chosen.seed, **record}, indent=2))
    sys.exit(1 if record["missed"] else 0)


def times(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure writes and reads of 1 MB."""
    states = {"random bytes": random_states(chosen.seed)}
    conversations = traces()
    if conversations is None:
        print("agent-traces are not below HIVE_DATA_DIR: conversations are left out", file=sys.stderr)
    else:
        states["conversations"] = conversation_states(conversations)
    # As hive's workers do: what lives as long as the process is no garbage to look through.
    gc.freeze()
    rows, missed = [], []
    with placed(chosen.directory) as directory, running_broker() as broker:
        disk = flush_times(directory, chosen.count)
        for database in chosen.database:
            log_bytes = 0 if chosen.young else round(len(states) * (chosen.count + AGENTS) * STATE_BYTES * 1.25)
            with database_url(database, directory, log_bytes) as url:
                for name, made in states.items():
                    row = {
                        "database": database,
                        "state": name,
                        **measured(Sides.fresh(url, broker.url), made, chosen.count),
                    }
                    rows.append(row)
                    for key, bar in BARS.items():
                        figure = "read_database" if key == f"read_{database}" else key
                        if figure in row and row[figure]["p99"] > bar:
                            missed.append(f"{key} of {name} on {database}: {row[figure]['p99']} ms > {bar} ms")
    return {"bars_p99_ms": BARS, "flush_of_1_mb_ms": disk, "rows": rows, "missed": missed}


def measured(sides: Sides, states: Iterator[Any], count: int) -> dict[str, Any]:
    """Write ``count`` states of a few agents, then read from the broker, then with the broker emptied before each read."""
    store = sides.open()
    taken: dict[str, list[float]] = {name: [] for name in ("write", "read_broker", "read_database", "read_new_process")}
    agents = [f"agent-{number}" for number in range(AGENTS)]
    for agent in agents:
        store.write(agent, next(states))
    stored = 0
    latest = {}
    for number in range(count):
        agent = agents[number % AGENTS]
        latest[agent] = next(states)
        stored += clocked(taken["write"], partial(store.write, agent, latest[agent])).stored_bytes
    for number in range(count):
        agent = agents[number % AGENTS]
        read = clocked(taken["read_broker"], partial(store.read, agent))
        assert (read.state, read.source) == (latest[agent], Source.CACHE)
    for number in range(count):
        agent = agents[number % AGENTS]
        sides.empty_broker()
        read = clocked(taken["read_database"], partial(store.read, agent))
        assert (read.state, read.source) == (latest[agent], Source.DATABASE)
    for number in range(count // 5):
        sides.empty_broker()
        fresh = sides.open()
        read = clocked(taken["read_new_process"], partial(fresh.read, agents[number % AGENTS]))
        assert read.source is Source.DATABASE
        fresh.close()
    store.close()
    return {"stored_bytes": round(stored / count), **{name: quantiles(values) for name, values in taken.items()}}


def clocked(into: list[float], call: Callable[[], Any]) -> Any:
    """Call, and note the milliseconds it took."""
    began = time.perf_counter()
    result = call()
    into.append((time.perf_counter() - began) * 1000)
    return result


def flush_times(directory: Path, count: int) -> dict[str, float]:
    """Time writing 1 MB to the end of a file and flushing it, on the disk where the database lies."""
    taken: list[float] = []
    block = random.Random(1).randbytes(STATE_BYTES)
    with (directory / "flushed").open("wb", buffering=0) as file:
        for number in range(count):
            # Over the same pages again, as a log of SQLite is written.
            file.seek(number % 4 * STATE_BYTES)
            clocked(taken, lambda: (file.write(block), os.fdatasync(file.fileno())))
    (directory / "flushed").unlink()
    return quantiles(taken)


def quantiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95, p99 and the largest, in the unit of the values."""
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    shown = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}
    return {name: round(value, 2) for name, value in shown.items()}


def random_states(seed: int) -> Iterator[bytes]:
    """Yield 1 MB that nothing compresses, again and again."""
    rng = random.Random(seed)
    while True:
        yield rng.randbytes(STATE_BYTES)


def traces() -> list[list[dict[str, Any]]] | None:
    """Return recorded conversations, each a list of messages; none: they are not on this machine."""
    directory = Path(os.environ.get("HIVE_DATA_DIR", ROOT.parent / "shared" / "data"))
    path = directory / "agent-traces" / "taubench_gpt4o_airline.jsonl.gz"
    if not path.exists():
        return None
    with gzip.open(path, "rt") as lines:
        return [json.loads(line)["traj"] for line in lines]


def conversation_states(conversations: list[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield states of an agent that holds 1 MB of conversations, each beginning with another one."""
    sizes = [len(json.dumps(one)) for one in conversations]
    first = 0
    while True:
        held: list[Any] = []
        place, size = first, 0
        while size < STATE_BYTES:
            held.append(conversations[place % len(conversations)])
            size += sizes[place % len(conversations)]
            place += 1
        yield {"agent": "support", "first": first, "conversations": held}
        first += 1


def kills(chosen: argparse.Namespace) -> dict[str, Any]:
    """Kill writers at every step and at random instants; count what must not be."""
    counts = {"killed_at_a_step": 0, "killed_at_random": 0, "wrong": 0}
    wrong: list[str] = []
    rng = random.Random(chosen.seed)
    with placed(chosen.directory) as directory, running_broker() as broker:
        for database in chosen.database:
            with database_url(database, directory) as url:
                sides = Sides.fresh(url, broker.url)
                sides.open().write(faults.AGENT, faults.state_of(0, 0))
                for number in range(chosen.kills // len(chosen.database)):
                    at_step = number % 2 == 0
                    point = rng.choice(faults.POINTS) if at_step else ""
                    told = killed(sides, point, rng)
                    counts["killed_at_a_step" if at_step else "killed_at_random"] += 1
                    try:
                        faults.judged(sides.open(), told)
                    except (AssertionError, HiveError) as error:
                        wrong.append(f"{database}, kill {number} at {point or 'a random instant'}: {error}")
    return {**counts, "wrong": len(wrong), "missed": wrong}


def killed(sides: Sides, point: str, rng: random.Random) -> int:
    """Let a writer die at a point or after a random while; return the last generation it was told is written."""
    process = faults.Writer(sides, rng.randrange(10**6), point, rng.randrange(1, 6))
    told = 0
    if not point:
        told = process.first()
        threading.Event().wait(rng.uniform(0, 0.05))
        process.kill()
    return max(told, process.last()[0])


def flips(chosen: argparse.Namespace) -> dict[str, Any]:
    """Damage rows and values; count what came back, and what came back without a word."""
    rng = random.Random(chosen.seed)
    counts = {"damaged": 0, "newest": 0, "older_and_said_so": 0, "file_unreadable_and_said_so": 0}
    places: dict[str, int] = {}
    wrong: list[str] = []
    with placed(chosen.directory) as directory, running_broker() as broker:
        for number in range(chosen.flips):
            path = directory / f"{number}.sqlite"
            sides = Sides.fresh(f"sqlite:///{path}", broker.url)
            store = sides.open()
            newest = [store.write(faults.AGENT, faults.state_of(number, one)).generation for one in range(3)][-1]
            store.close()
            how = rng.choice(("broker", "row", "both", "file"))
            where = [faults.damage_broker(sides, rng)] if how in {"broker", "both"} else []
            where += [faults.damage_sqlite(path, rng)] if how in {"row", "both"} else []
            where += [faults.damage_file(path, rng)] if how == "file" else []
            if rng.random() < 0.5:
                sides.empty_broker()
            for place in where:
                kind = place.split(" of ")[0].split(" at ")[0]
                places[kind] = places.get(kind, 0) + 1
            counts["damaged"] += 1
            try:
                found = faults.judged_after_damage(sides.open(), newest)
                counts["newest" if found.generation == newest else "older_and_said_so"] += 1
            except (AssertionError, HiveError) as error:
                if how == "file" and isinstance(error, HiveError):
                    counts["file_unreadable_and_said_so"] += 1
                else:
                    wrong.append(f"flip {number} at {where}: {error!r}")
            sides.empty_broker()
            for file in directory.glob(f"{number}.sqlite*"):
                file.unlink()
    return {**counts, "places": dict(sorted(places.items())), "wrong": len(wrong), "missed": wrong}


@contextmanager
def running_broker() -> Iterator[RedisServer]:
    """Run a broker for the length of the block."""
    server = RedisServer().start()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def database_url(kind: str, directory: Path, log_bytes: int = 0) -> Iterator[str]:
    """Yield the address of an empty database; of PostgreSQL with so many bytes of its log made before."""
    if kind == "sqlite":
        yield f"sqlite:///{directory / 'checkpoints.sqlite'}"
        return
    server = PostgresServer()
    try:
        url = server.database("checkpoints")
        make_tables(url)
        if log_bytes:
            make_log(url, log_bytes)
        yield url
    finally:
        server.close()


def make_tables(url: str) -> None:
    """Let another process make the tables: whoever does holds the tools for it from then on, and few processes ever do.

    Collecting garbage among them took 20 ms of one read of 50.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            open_database(url, Path()).head("nobody")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def make_log(url: str, size_bytes: int) -> None:
    """Let PostgreSQL fill files of its log, and keep them to be taken again, as it does when it has run for a while."""
    files = size_bytes // LOG_FILE_BYTES + 2
    with psycopg.connect(url, autocommit=True) as connection:
        for name, times in (("min_wal_size", 1), ("max_wal_size", 4)):
            connection.execute(f"ALTER SYSTEM SET {name} = '{files * times * LOG_FILE_BYTES // 2**20}MB'")
        connection.execute("SELECT pg_reload_conf()")
        for _ in range(files):
            connection.execute("SELECT pg_logical_emit_message(false, '', ''), pg_switch_wal()")
        connection.execute("CHECKPOINT")


@contextmanager
def placed(directory: Path | None) -> Iterator[Path]:
    """Yield a directory for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="hive-checkpoints-", dir=directory) as made:
        yield Path(made)


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {"cores": os.cpu_count(), "python": platform.python_version(), "commit": commit.stdout.strip()}


if __name__ == "__main__":
    main()
