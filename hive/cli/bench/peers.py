"""Other task queues at the same work, through a directory of adapters with a program ``run.py``.

``run.py MEASURE PEER...`` prints one row a peer, taking the broker from ``BENCH_REDIS`` (which it flushes) and further
peers from a file named in ``BENCH_EXTRA``. hive joins them as one more peer, under the same program, so that all rows
are counted alike.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hive.cli.bench.broker import private_broker
from hive.errors import InputError

#: What ``run.py`` measures, by our names.
KINDS = {"throughput": "throughput", "latency": "latency", "enqueue": "throughput", "io": "io", "crash": "crash"}

EXTRA = """
WORKER = [PY, "-m", "celery", "-A", "hive_peer", "worker", "-l", "error", "--without-gossip", "--without-mingle",
          "--without-heartbeat", "-Q", "bench"]
PEERS["hive-prefork"] = ("hive_peer", {"cpu": [WORKER + ["-c", "2"]], "io": []})
PEERS["hive-threads"] = ("hive_peer", {
    "cpu": [WORKER + ["-P", "threads", "-c", "1", "-n", f"hive{number}@%h"] for number in range(2)],
    "io": [WORKER + ["-P", "threads", "-c", "500"]],
})
"""


def rows(directory: Path, pythons: Sequence[Path], measure: str, names: Sequence[str]) -> Iterator[str]:
    """Yield the rows of hive and of the peers, one process a peer.

    Args:
        directory: where ``run.py`` and the adapters lie.
        pythons: interpreters of the environments the peers are installed in; each peer runs in the first that has it.
        measure: one of hive's measures.
        names: peers; every one that ``run.py`` knows if empty.

    Raises:
        InputError: there is no ``run.py``, or it knows no adapter for Celery to derive hive's from.
    """
    program, celery = directory / "run.py", directory / "celery_app.py"
    if not program.is_file() or not celery.is_file():
        raise InputError(f"{directory} has no run.py and celery_app.py: --peers takes a directory of adapters")
    with tempfile.TemporaryDirectory(prefix="hive-bench-peers-") as scratch, private_broker() as broker:
        source = celery.read_text(encoding="utf-8").replace(
            "from celery import Celery", "from hive import Hive as Celery"
        )
        Path(scratch, "hive_peer.py").write_text(source, encoding="utf-8")
        Path(scratch, "extra.py").write_text(EXTRA, encoding="utf-8")
        environment = {
            **os.environ,
            "BENCH_REDIS": broker.url,
            "BENCH_EXTRA": str(Path(scratch, "extra.py")),
            "BENCH_PATH": scratch,
            "BENCH_COUNTER": str(Path(scratch, "counter")),
            "PYTHONPATH": os.pathsep.join([scratch, str(directory)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for name in ("hive-threads", "hive-prefork"):
            yield from _row([Path(sys.executable)], program, measure, name, environment)
        for name in names or _known(program):
            yield from _row(pythons, program, measure, name, environment)


def _known(program: Path) -> list[str]:
    """Return the names of the peers of a ``run.py``: the keys of its table."""
    table = program.read_text(encoding="utf-8").partition("PEERS = {")[2].partition("\n}")[0]
    return re.findall(r'^    "([\w-]+)":', table, re.MULTILINE)


def _row(pythons: Sequence[Path], program: Path, measure: str, name: str, environment: dict[str, str]) -> Iterator[str]:
    said = []
    for python in pythons:
        done = subprocess.run(
            [str(python), str(program), KINDS[measure], name],
            env=environment, cwd=program.parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
        row = done.stdout.strip()
        if row and " failed: " not in row:
            yield row
            return
        said.append(row or done.stderr.strip().splitlines()[-1:] or f"no {measure} for it")
    yield f"{name:14} not measured: {said[-1]}"
