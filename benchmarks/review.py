"""How much faster a warm hive reviews a project than one process does, one unit after another.

    python benchmarks/review.py PATH [--slots N] [--rounds N]

Both are the command `hive review`, on the same project in the same run, with the same findings (checked). The hive is
started before, in a home of its own, and has reviewed something small; starting it is reported apart. Prints one JSON
record.

Caveats: a project should need 60 s or more serially, so that what a command costs by itself does not count. On a machine
that does other work the ratio flatters the hive, which has more processes to compete with: believe it only if
`load_1min_before` is well below 1.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

HIVE = str(Path(sys.executable).with_name("hive"))
ROOT = Path(__file__).parents[1]
SMALL = ROOT / "tests/fixtures/code_reviewer/seeded"
COMPARED = ("findings", "skipped", "facts", "files")


def main() -> None:
    """Measure, and print the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="slots of each pool")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as scratch:
        os.environ["HIVE_HOME"] = str(Path(scratch, "home"))
        record = measure(options.path.resolve(), options.slots, options.rounds, Path(scratch))
    print(json.dumps(record, indent=2))
    sys.exit(0 if record["same_findings"] else 1)


def measure(path: Path, slots: int, rounds: int, scratch: Path) -> dict[str, Any]:
    """Review ``path`` serially and over a warm hive in turn, ``rounds`` times each."""
    load_before = os.getloadavg()[0]
    began_s = time.monotonic()
    hive("up", "--detach", "--no-beat", "--slots", str(slots))
    startup_s = time.monotonic() - began_s
    rows = []
    try:
        hive("review", str(SMALL), "--output", str(scratch / "small"))
        for _ in range(rounds):
            serial_s, serial = review(path, scratch / "serial", "--serial")
            warm_s, warm = review(path, scratch / "warm")
            rows.append(
                {
                    "serial_s": round(serial_s, 2),
                    "warm_s": round(warm_s, 2),
                    "ratio": round(warm_s / serial_s, 3),
                    "same_findings": all(serial[part] == warm[part] for part in COMPARED),
                    "complete": serial["complete"] and warm["complete"],
                    "findings": len(warm["findings"]),
                    "lines": sum(file["lines"] for file in warm["files"]),
                    "steps": len(warm["steps"]),
                }
            )
    finally:
        hive("down")
    return {
        "benchmark": "review",
        "project": path.name,
        "slots": slots,
        "startup_s": round(startup_s, 2),
        "rounds": rows,
        "median_ratio": statistics.median(row["ratio"] for row in rows),
        "same_findings": all(row["same_findings"] and row["complete"] for row in rows),
        "commit": output(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "versions": {name: version(name) for name in ("celery", "kombu", "ruff", "bandit", "detect-secrets")},
        "load_1min_before": load_before,
    }


def review(path: Path, directory: Path, *options: str) -> tuple[float, dict[str, Any]]:
    """Run the command, and return the seconds of all of it and its report."""
    began_s = time.monotonic()
    hive("review", str(path), "--output", str(directory), *options)
    took_s = time.monotonic() - began_s
    return took_s, json.loads((directory / "report.json").read_text(encoding="utf-8"))


def hive(*arguments: str) -> None:
    """Run a command of hive; its words are shown if it fails."""
    done = subprocess.run([HIVE, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"hive {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")


def output(command: Sequence[str]) -> str:
    """Return what a command prints; empty where there is no such command or repository."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
