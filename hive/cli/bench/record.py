"""The record of a run: conditions, every round, medians and spread of the ratios within rounds."""

import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from hive.cli.bench.measures import Figures

#: Ends of the names of figures of which less is better, but for those that follow.
LESS_IS_BETTER = ("_ms", "_s", "seconds", "_mb", "_per_task", "_per_delay", "requests_per_s", "lost", "again", "once")

MORE_IS_BETTER = ("tasks_per_s", "enqueued_per_s", "delay_per_s", "bulk_per_s")

#: Packages whose version changes the figures.
PACKAGES = ("agent-hive", "celery", "kombu", "billiard", "redis", "hiredis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One figure over all rounds.

    Attributes:
        figure: its name, with its unit.
        hive: median of hive's rounds.
        stock: median of stock Celery's rounds; ``None`` where it has no such figure.
        ratio: median of hive divided by stock within each round.
        spread: least and greatest of those ratios.
    """

    figure: str
    hive: float | None
    stock: float | None
    ratio: float | None
    spread: tuple[float, float] | None

    @property
    def less_is_better(self) -> bool:
        """Whether a ratio below 1 speaks for hive."""
        return self.figure.endswith(LESS_IS_BETTER) and self.figure not in MORE_IS_BETTER


def summarise(rounds: Sequence[dict[str, Figures]]) -> list[Summary]:
    """Return medians and spread of every figure that any side has."""
    names = dict.fromkeys(name for one in rounds for figures in one.values() for name in figures)
    return [_summary(name, rounds) for name in names]


def _summary(name: str, rounds: Sequence[dict[str, Figures]]) -> Summary:
    values = {side: [one[side][name] for one in rounds if name in one.get(side, {})] for side in ("hive", "stock")}
    pairs = [(one.get("hive", {}).get(name), one.get("stock", {}).get(name)) for one in rounds]
    ratios = [mine / theirs for mine, theirs in pairs if mine is not None and theirs]
    return Summary(
        figure=name,
        hive=statistics.median(values["hive"]) if values["hive"] else None,
        stock=statistics.median(values["stock"]) if values["stock"] else None,
        ratio=statistics.median(ratios) if ratios else None,
        spread=(min(ratios), max(ratios)) if ratios else None,
    )


def record(
    measure: str,
    conditions: dict[str, Any],
    broker: str,
    rounds: Sequence[dict[str, Figures]],
    peers: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Return everything needed to judge and to repeat a run, ready for JSON."""
    return {
        "measure": measure,
        "conditions": conditions,
        "commit": commit(),
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "broker": broker,
        "machine": machine(),
        "rounds": list(rounds),
        "summary": [asdict(summary) for summary in summarise(rounds)],
        "peers": list(peers),
    }


def machine() -> dict[str, Any]:
    """Return what this machine is, and how busy it was."""
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def commit() -> str | None:
    """Return the commit of the source tree hive runs from, with ``+`` if files differ; ``None`` for an installed one."""
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():
        return None
    described = subprocess.run(
        ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"],  # noqa: S607 - git of the PATH
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return described.stdout.strip() or None
