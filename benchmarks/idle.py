"""What a hive takes while nothing is to do: ``python benchmarks/idle.py [--seconds 60] [--elastic] [--stock]``.

Starts ten pools of one slot, beat and the broker in a home of its own, waits until all serve, and then measures all of
their processes: proportional set size (shared pages counted once, divided among those who share them) at the end, and
processor time over the given seconds. With ``--elastic`` the same pools come after it with slots that follow demand, from
one on. With ``--stock`` ten workers of plain Celery on a broker of their own come after
it. Prints one JSON record. Linux only: it reads ``/proc/PID/smaps_rollup``.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from hive import load_settings
from hive.runtime.broker import EmbeddedBroker

ROOT = Path(__file__).parents[1]
HIVE = str(Path(sys.executable).with_name("hive"))
POOLS = 10

STOCK = """
from celery import Celery
app = Celery("stock", broker={url!r}, backend={url!r})
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_send_task_events=True)
"""


def pss_mb(process: psutil.Process) -> float:
    """Return the proportional set size in megabytes."""
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss of {process.pid}")


def family(roots: list[psutil.Process]) -> list[psutil.Process]:
    """Return the processes with all of their descendants, each once."""
    found = {p.pid: p for root in roots for p in (root, *root.children(recursive=True))}
    return list(found.values())


def cpu_s(processes: list[psutil.Process]) -> float:
    """Return the processor seconds used so far."""
    return sum(sum(p.cpu_times()[:2]) for p in processes)


def measured(roots: list[psutil.Process], seconds: float) -> dict[str, Any]:
    """Watch processes that have nothing to do."""
    processes = family(roots)
    before_s, began_s = cpu_s(processes), time.monotonic()
    threading.Event().wait(seconds)
    after = family(roots)
    used_s, passed_s = cpu_s(after) - before_s, time.monotonic() - began_s
    sizes = [pss_mb(p) for p in after]
    return {
        "processes": len(after),
        "pss_mb": round(sum(sizes), 1),
        "pss_mb_largest": round(max(sizes), 1),
        "cpu_percent_of_a_core": round(100 * used_s / passed_s, 2),
        "seconds": round(passed_s, 1),
    }


def until(condition: Callable[[], Any], timeout_s: float) -> Any:
    """Return the first true value."""
    pause, deadline_s = threading.Event(), time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise TimeoutError(str(condition))
        pause.wait(0.02)
    return value


def hive(directory: Path, seconds: float, slots: tuple[str, ...] = ("--slots", "1")) -> dict[str, Any]:
    """Measure ``hive up``."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("HIVE_")} | {"HIVE_HOME": str(directory)}
    began_s = time.monotonic()
    subprocess.run([HIVE, "up", "--detach", *slots], env=environ, cwd=directory, check=True, capture_output=True)
    ready_s = time.monotonic() - began_s
    try:
        report = json.loads((directory / "hive.json").read_text())
        assert sum(part["slots"] == 1 for part in report["parts"]) == POOLS
        return {"ready_s": round(ready_s, 2), **measured([psutil.Process(report["process_id"])], seconds)}
    finally:
        subprocess.run([HIVE, "down"], env=environ, cwd=directory, check=True, capture_output=True)


def elastic(directory: Path, seconds: float) -> dict[str, Any]:
    """Measure ``hive up`` with slots that follow demand."""
    return hive(directory, seconds, slots=())


def stock(directory: Path, seconds: float) -> dict[str, Any]:
    """Measure ten plain Celery workers of one slot, each started by its command, on a broker like hive's."""
    broker = EmbeddedBroker(load_settings(home=directory / "home"))
    broker.ensure()
    (directory / "stock_app.py").write_text(STOCK.format(url=broker.url))
    command = [sys.executable, "-m", "celery", "-A", "stock_app"]
    began_s = time.monotonic()
    quiet = {"cwd": directory, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [
        subprocess.Popen(
            [*command, "worker", "-c", "1", "-n", f"w{n}@%h", "-Q", f"q{n}", "-f", f"{n}.log", "-l", "INFO"], **quiet
        )
        for n in range(POOLS)
    ]
    started.append(subprocess.Popen([*command, "beat"], **quiet))
    try:
        logs = [directory / f"{n}.log" for n in range(POOLS)]
        until(lambda: all(log.exists() and " ready." in log.read_text() for log in logs), 120)
        ready_s = time.monotonic() - began_s
        roots = [psutil.Process(p.pid) for p in started] + [psutil.Process(broker.process_id)]
        return {"ready_s": round(ready_s, 2), **measured(roots, seconds)}
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)
        broker.stop()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch")
    parser.add_argument("--elastic", action="store_true", help="slots that follow demand after it")
    parser.add_argument("--stock", action="store_true", help="plain Celery after it")
    options = parser.parse_args()
    record: dict[str, Any] = {
        "benchmark": "idle",
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }
    rows = {"hive": hive, "elastic": elastic, "stock": stock}
    asked = {"hive"} | {name for name in ("elastic", "stock") if getattr(options, name)}
    for name, measure in rows.items():
        if name not in asked:
            continue
        with tempfile.TemporaryDirectory(prefix="hive-idle-") as directory:
            record[name] = measure(Path(directory), options.seconds)
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
