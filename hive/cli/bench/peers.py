"""Other task queues at the same work, through a directory of adapters with a program ``run.py``.

``run.py MEASURE PEER...`` prints one row a peer, taking the broker from ``BENCH_REDIS`` (which it flushes) and further
peers from a file named in ``BENCH_EXTRA``. hive joins them as one more peer, under the same program, so that all rows
are counted alike.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hive.cli.bench.broker import private_broker
from hive.errors import InputError

#: What ``run.py`` measures, by our names.
KINDS = {"throughput": "throughput", "latency": "latency", "enqueue": "throughput", "io": "io", "crash": "crash"}

#: Where each measure's figure stands in a row.
FIGURES = {
    "throughput": r"noop\s+([\d.]+)/s",
    "enqueue": r"enqueue\s+([\d.]+)/s",
    "latency": r"p50\s+([\d.]+) ms",
    "io": r":\s+([\d.]+) s \(ideal",
    "crash": r"missing (\d+)",
}

EXTRA = """
WORKER = [PY, "-m", "celery", "-A", "hive_peer", "worker", "-l", "error", "--without-gossip", "--without-mingle",
          "--without-heartbeat", "-Q", "bench"]
PEERS["hive-prefork"] = ("hive_peer", {"cpu": [WORKER + ["-c", "2"]], "io": []})
PEERS["hive-threads"] = ("hive_peer", {
    "cpu": [WORKER + ["-P", "threads", "-c", "1", "-n", f"hive{number}@%h"] for number in range(2)],
    "io": [WORKER + ["-P", "threads", "-c", "500"]],
})
"""


#: hive's workers report each task (for Flower) unless told otherwise; no peer's does, Celery's included.
SAME_SETTINGS = "\napp.conf.worker_send_task_events = False\n"


def adapter(celery: str) -> str:
    """Return hive's adapter: Celery's, with the import changed and what hive does beyond its peers switched off."""
    return celery.replace("from celery import Celery", "from hive import Hive as Celery") + SAME_SETTINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one peer did in one round.

    Attributes:
        name: the peer, or ``hive-threads``, ``hive-prefork``.
        text: the row as ``run.py`` printed it.
        value: the figure of the measure (tasks or messages a second, p50 in ms, seconds, missing tasks); ``None``
            where it could not be taken.
    """

    name: str
    text: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A peer over all rounds.

    Attributes:
        name: the peer.
        median: of its figures; ``None`` if it has none.
        hive_ratio: median of the better hive's figure divided by the peer's, within each round.
        spread: least and greatest of those ratios.
    """

    name: str
    median: float | None
    hive_ratio: float | None
    spread: tuple[float, float] | None


def standings(rounds: Sequence[Sequence[Row]], measure: str) -> list[Standing]:
    """Compare every peer with the better of hive's two rows in the same round."""
    names = dict.fromkeys(row.name for rows_ in rounds for row in rows_)
    best = max if measure in {"throughput", "enqueue"} else min
    found: dict[str, list[float]] = {name: [] for name in names}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for rows_ in rounds:
        values = {row.name: row.value for row in rows_ if row.value is not None}
        ours = [value for name, value in values.items() if name.startswith("hive-")]
        for name, value in values.items():
            found[name].append(value)
            if ours and value:
                ratios[name].append(best(ours) / value)
    return [
        Standing(
            name=name,
            median=statistics.median(found[name]) if found[name] else None,
            hive_ratio=statistics.median(ratios[name]) if ratios[name] else None,
            spread=(min(ratios[name]), max(ratios[name])) if ratios[name] else None,
        )
        for name in names
    ]


def rows(directory: Path, pythons: Sequence[Path], measure: str, names: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of hive and of the peers for one round, one process a peer.

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
        Path(scratch, "hive_peer.py").write_text(adapter(celery.read_text(encoding="utf-8")), encoding="utf-8")
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
            yield _row([Path(sys.executable)], program, measure, name, environment)
        for name in names or _known(program):
            yield _row(pythons, program, measure, name, environment)


def _known(program: Path) -> list[str]:
    """Return the names of the peers of a ``run.py``: the keys of its table."""
    table = program.read_text(encoding="utf-8").partition("PEERS = {")[2].partition("\n}")[0]
    return re.findall(r'^    "([\w-]+)":', table, re.MULTILINE)


def _row(pythons: Sequence[Path], program: Path, measure: str, name: str, environment: dict[str, str]) -> Row:
    said = []
    for python in pythons:
        done = subprocess.run(
            [str(python), str(program), KINDS[measure], name],
            env=environment, cwd=program.parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
        row = done.stdout.strip()
        if row and " failed: " not in row:
            figure = re.search(FIGURES[measure], row)
            return Row(name=name, text=row, value=float(figure[1]) if figure else None)
        said.append(row or done.stderr.strip().splitlines()[-1:] or f"no {measure} for it")
    return Row(name=name, text=f"{name:14} not measured: {said[-1]}", value=None)
