"""How well hive foresees that nobody will need an agent, beside the same window a season before.

    python benchmarks/idleness.py [--data DIR] [--tune] [--output FILE]

Idleness is defined beforehand (``hive/learning/idleness.py``): a coming half hour that brings at most a quarter of an
average half hour of the past. Every five minutes of every recorded series is one decision: sleep or stay awake. Series:
the 620 applications of one day and the 500 functions of eight hours of Azure Functions 2019, and request and mention
counts of NAB. Every other application and the first half of each NAB series tune; the other applications, the second
halves and all of the functions, which no weight has seen, judge. The naive forecast says what the same window a day
before was; an hour before where no day is known.

Printed for each set: balanced accuracy (mean of the shares of idle and of busy windows told rightly) of hive and of the
naive forecast, missed wakes (windows told idle that were not, for each 100 told idle), idle hours gained and those there
were. --tune fits the weights anew and prints them; nothing else is random, its seed is printed.
"""

import argparse
import gzip
import json
import math
import os
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.agents.lifecycle import AgentState  # noqa: E402
from hive.consolidation.decision import Action, AgentView, decide  # noqa: E402
from hive.learning import idleness  # noqa: E402
from hive.learning.series import read_series  # noqa: E402
from hive.settings.scheduler import SchedulerSettings  # noqa: E402

APPLICATIONS = "azure-functions-2019/apps1000_invocations_per_minute.csv.gz"
FUNCTIONS = "azure-functions-2019/functions500_invocations_per_minute.csv.gz"
NAB = ("realTweets/*.csv.gz", "realAWSCloudwatch/elb_request_count_*.csv.gz")
SEED = 20261121
EPOCHS, BATCH, RATE = 12, 64, 0.05


@dataclass(frozen=True, slots=True)
class Decision:
    """One moment at which a forecast was made, and what came."""

    idle: bool
    naive: bool
    features: tuple[float, ...]
    usual: float


def decisions(counts: list[float]) -> Iterator[Decision]:
    """Yield a decision for every interval with a whole window after it and enough before it."""
    forecaster = idleness.IdlenessForecaster()
    for place in range(len(counts) - idleness.WINDOW + 1):
        told = forecaster.chance()
        if told.known:
            season = idleness.DAY if place >= idleness.DAY else idleness.HOUR
            window = counts[place : place + idleness.WINDOW]
            before = counts[place - season : place - season + idleness.WINDOW]
            yield Decision(
                forecaster.is_idle(sum(window)), forecaster.is_idle(sum(before)), told.features, forecaster.usual
            )
        forecaster.update(counts[place])


def in_fives(minutes: Iterable[float]) -> list[float]:
    """Return counts of five minutes from those of one."""
    held = list(minutes)
    return [sum(held[place : place + 5]) for place in range(0, len(held) - 4, 5)]


def recorded(data: Path) -> dict[str, list[Decision]]:
    """Return the decisions of each set."""
    sets: dict[str, list[Decision]] = {"tuning": [], "applications": [], "nab": [], "functions": []}
    with gzip.open(data / APPLICATIONS, "rt") as lines:
        for place, series in enumerate(read_series(lines, "applications")):
            sets["applications" if place % 2 else "tuning"] += decisions(in_fives(series.values))
    for pattern in NAB:
        for path in sorted((data / "nab").glob(pattern)):
            with gzip.open(path, "rt") as lines:
                (series,) = read_series(lines, path.name)
            found = list(decisions(list(series.values)))
            sets["tuning"] += found[: len(found) // 2]
            sets["nab"] += found[len(found) // 2 :]
    with gzip.open(data / FUNCTIONS, "rt") as lines:
        for series in read_series(lines, "functions"):
            sets["functions"] += decisions(in_fives(series.values))
    return sets


def fitted(rows: list[Decision]) -> list[float]:
    """Fit weights by logistic regression, idle and busy windows weighing the same in sum (Adam; Kingma and Ba, 2015)."""
    rng = random.Random(SEED)
    share = sum(row.idle for row in rows) / len(rows)
    weights = [0.0] * len(idleness.FEATURES)
    mean, square = [0.0] * len(weights), [1e-8] * len(weights)
    rows = list(rows)
    for epoch in range(EPOCHS):
        rng.shuffle(rows)
        for start in range(0, len(rows), BATCH):
            slope = _slope(rows[start : start + BATCH], weights, share)
            for place, one in enumerate(slope):
                mean[place] = 0.9 * mean[place] + 0.1 * one
                square[place] = 0.99 * square[place] + 0.01 * one * one
                weights[place] -= RATE / (1 + epoch) * mean[place] / math.sqrt(square[place])
    return [round(weight, 3) for weight in weights]


def _slope(rows: list[Decision], weights: list[float], share: float) -> list[float]:
    slope = [0.0] * len(weights)
    for row in rows:
        error = (_chance(weights, row.features) - row.idle) / (2 * (share if row.idle else 1 - share))
        for place, feature in enumerate(row.features):
            slope[place] += error * feature / len(rows)
    return slope


def _chance(weights: Iterable[float], features: Iterable[float]) -> float:
    return 1.0 / (1.0 + math.exp(-sum(one * two for one, two in zip(weights, features, strict=True))))


def told_idle(row: Decision, seldom: Iterable[float], often: Iterable[float]) -> bool:
    """Tell whether hive puts an awake agent without work to sleep, by the given weights."""
    chance = _chance(often if row.usual >= idleness.OFTEN else seldom, row.features)
    idle = idleness.IdleChance(chance=chance, known=True)
    load = min(1.0, math.exp(row.features[1]) - 0.05)
    quiet_s = math.expm1(row.features[-1]) * idleness.INTERVAL_S + 0.5
    view = AgentView(agent="", state=AgentState.AWAKE, idle=idle, load=load, quiet_s=quiet_s)
    return decide(view, SchedulerSettings()).action is Action.SLEEP


def judged(rows: list[Decision], told: list[bool]) -> dict[str, Any]:
    """Return how good the answers were."""
    idle = sum(row.idle for row in rows)
    right_idle = sum(row.idle and one for row, one in zip(rows, told, strict=True))
    right_busy = sum(not row.idle and not one for row, one in zip(rows, told, strict=True))
    hours = idleness.INTERVAL_S / 3600
    return {
        "balanced_accuracy": round((right_idle / idle + right_busy / (len(rows) - idle)) / 2, 4),
        "missed_wakes_percent_of_told_idle": round(100 * (sum(told) - right_idle) / max(1, sum(told)), 2),
        "idle_hours_gained": round(right_idle * hours),
        "idle_hours": round(idle * hours),
    }


def main() -> None:
    """Judge, or tune first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HIVE_DATA_DIR", ROOT.parent / "shared/data")))
    parser.add_argument("--tune", action="store_true", help="fit the weights anew and judge with them")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if not (arguments.data / APPLICATIONS).exists():
        parser.error(f"there are no recorded arrivals in {arguments.data}; set HIVE_DATA_DIR")
    sets = recorded(arguments.data)
    tuning = sets.pop("tuning")
    record: dict[str, Any] = {"seed": SEED}
    seldom, often = list(idleness.SELDOM_WEIGHTS), list(idleness.OFTEN_WEIGHTS)
    if arguments.tune:
        seldom = fitted([row for row in tuning if row.usual < idleness.OFTEN])
        often = fitted([row for row in tuning if row.usual >= idleness.OFTEN])
        record |= {"seldom_weights": seldom, "often_weights": often}
    sets["all judged"] = [row for one in sets.values() for row in one]
    for name, rows in sets.items():
        record[name] = {
            "decisions": len(rows),
            "hive": judged(rows, [told_idle(row, seldom, often) for row in rows]),
            "naive": judged(rows, [row.naive for row in rows]),
        }
    text = json.dumps(record, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
