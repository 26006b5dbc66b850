"""What hive's scaling policy saves beside Celery's autoscaler, KEDA's list length and a fixed size, each best-tuned.

    python benchmarks/scaling.py [--data DIR] [--apps N] [--minutes N] [--jobs N] [--start-delay-s S] [--seed N] [--output FILE]

Over the busiest applications of the Azure Functions 2019 sets (``HIVE_DATA_DIR``): one day of arrivals a minute and the
quantiles of their durations. Every second application, by rank, is for tuning, the others are judged. For each goal (a
p99 wait that at least 75 % of the applications keep) each kind of scaler is tuned alone: of the settings that keep the
goal on the tuning half the one with the least slot-seconds (geometric mean); where none keeps it, the one that keeps it
for most applications. The best baseline is the kind that costs least there. hive is tuned beside it, on the tuning half
too, once to the same p99 wait and once to the same slot-seconds (medians over applications), and judged on the other
half, application by application: ratios of slot-seconds and of p99 waits, medians and quartiles.

`hindsight` is harder on hive than that: its one tuned setting against whichever setting of all baselines, chosen for
each judged application after the fact, is cheapest at a p99 wait no longer than hive's (and 0.1 s over it).

A fixed size is given the true mean demand of the day, which nobody knows beforehand. Caveats: arrivals within a minute
are uniform; every slot takes `--start-delay-s` to start, for every scaler; the broker's own time is not modelled.
Prints one JSON record. The same seed gives the same figures.
"""

import argparse
import gzip
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.learning.series import Series, busiest, read_series  # noqa: E402
from hive.scaling.rules import ScalingRules  # noqa: E402
from hive.simulation.baselines import candidates  # noqa: E402
from hive.simulation.run import Conditions, simulate  # noqa: E402
from hive.simulation.scalers import HiveScaler, Scaler, outlooks  # noqa: E402
from hive.simulation.workload import ServiceTimes, Workload, read_service_times  # noqa: E402

MAXIMUM = 1_000
GOALS_S = (1.0, 5.0, 15.0)
#: Share of the applications that have to keep a goal.
KEPT = 0.75
#: Waits below this are not told apart: in ratios it is added to both.
GRAIN_S = 0.1
HIVE = "hive"

Setting = tuple[str, str]


def ways(start_delay_s: float) -> dict[str, tuple[float, ScalingRules]]:
    """Return what hive is tried with, by name: seconds between two decisions, and rules.

    A fleet decides every two seconds, a worker for its own pool each second. The lean ones plan no further than the wait
    they aim at, so that no slot is there before its task, and give slots back at once.
    """
    usual = {
        f"target wait {target_s:g} s, window {window_s:g} s": (
            HiveScaler.EVERY_S,
            ScalingRules(
                minimum=0,
                maximum=MAXIMUM,
                target_wait_s=target_s,
                stabilisation_s=window_s,
                plan_ahead_s=start_delay_s + HiveScaler.EVERY_S,
            ),
        )
        for target_s, window_s in product((0.5, 1, 2, 5, 10), (15, 45))
    }
    lean = {
        f"lean, target wait {target_s:g} s, window 1 s": (
            1.0,
            ScalingRules(
                minimum=0,
                maximum=MAXIMUM,
                target_wait_s=target_s,
                plan_ahead_s=target_s,
                stabilisation_s=1.0,
                shrink_cooldown_s=0.0,
                shrink_share=1.0,
                hysteresis=0.0,
            ),
        )
        for target_s in (1, 2, 6)
    }
    return usual | lean


def grid(start_delay_s: float) -> list[Setting]:
    """Return every setting that is tried, (kind, setting in words), in the order of what is measured."""
    others = [(one.kind, one.setting) for one in candidates(0, MAXIMUM, 1.0)]
    return [*((HIVE, name) for name in ways(start_delay_s)), *others]


def measured(job: tuple[Series, ServiceTimes, float, int]) -> list[tuple[float, float]]:
    """Return (p99 wait in seconds, slot-seconds) of every setting on one application."""
    series, service, start_delay_s, seed = job
    workload = Workload(series=series, service=service, seed=seed)
    tasks, expected = workload.drawn(), outlooks(series)
    scalers: list[Scaler] = [
        HiveScaler(rules, expected, series.step_s, start_delay_s, every_s)
        for every_s, rules in ways(start_delay_s).values()
    ]
    scalers += [one.make() for one in candidates(0, MAXIMUM, workload.demand)]
    found = []
    for scaler in scalers:
        outcome = simulate(workload, scaler, Conditions(start_delay_s=start_delay_s), tasks)
        found.append((outcome.wait_p99_s, outcome.slot_seconds))
    return found


def tuned(settings: list[Setting], kind: str, rows: list[list[tuple[float, float]]], goal_s: float) -> dict[str, Any]:
    """Choose the setting of a kind on the tuning half."""
    best: tuple[Any, ...] = ()
    for place, setting in enumerate(settings):
        if setting[0] == kind:
            kept = sum(row[place][0] <= goal_s for row in rows) / len(rows)
            cost = math.exp(statistics.fmean(math.log(row[place][1]) for row in rows))
            rank = (kept < KEPT, -kept if kept < KEPT else 0.0, cost)
            if not best or rank < best[0]:
                best = (rank, place, kept, cost)
    _, place, kept, cost = best
    return {
        "place": place,
        "kind": kind,
        "setting": settings[place][1],
        "kept": kept,
        "slot_seconds": round(cost),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}


def compared(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> dict[str, Any]:
    """Compare two settings over the judged applications."""
    costs = [our[1] / their[1] for our, their in zip(ours, theirs, strict=True)]
    waits = [(our[0] + GRAIN_S) / (their[0] + GRAIN_S) for our, their in zip(ours, theirs, strict=True)]
    better = [
        (wait <= 1.0 and cost <= 0.8) or (cost <= 1.0 and wait <= 0.5) for wait, cost in zip(waits, costs, strict=True)
    ]
    cost, wait = statistics.median(costs), statistics.median(waits)
    return {
        "slot_seconds_ratio": spread(costs),
        "wait_p99_ratio": spread(waits),
        "applications_that_alone_pass": sum(better),
        "bar_met_by_medians": (wait <= 1.0 and cost <= 0.8) or (cost <= 1.0 and wait <= 0.5),
    }


def judged(settings: list[Setting], tuning: list[Any], judging: list[Any], goal_s: float) -> dict[str, Any]:
    """Tune on one half and compare on the other, for one goal."""
    kinds = list(dict.fromkeys(kind for kind, _ in settings))
    chosen = {kind: tuned(settings, kind, tuning, goal_s) for kind in kinds}
    ours = chosen.pop(HIVE)
    able = [one for one in chosen.values() if one["kept"] >= KEPT] or list(chosen.values())
    best = min(able, key=lambda one: one["slot_seconds"])
    our_rows = [row[ours["place"]] for row in judging]
    matched = {name: compared_by(name, settings, tuning, judging, best["place"]) for name in ("same_wait", "same_cost")}
    others = {kind: compared(our_rows, [row[one["place"]] for row in judging]) for kind, one in chosen.items()}
    for one in (ours, *chosen.values()):
        one["kept_when_judged"] = sum(row[one["place"]][0] <= goal_s for row in judging) / len(judging)
    return {
        "goal_p99_wait_s": goal_s,
        "tuned": {HIVE: ours, **chosen},
        "best_baseline": best["kind"],
        "against_best": matched,
        "each_tuned_to_the_goal": others,
        "hindsight": hindsight(settings, our_rows, judging),
    }


def compared_by(
    what: str, settings: list[Setting], tuning: list[Any], judging: list[Any], baseline: int
) -> dict[str, Any]:
    """Choose hive's setting on the tuning half by what is to be the same as the baseline's; compare on the other.

    The same wait: of the settings whose p99 wait is no longer (median of the ratios) the one that costs least. The
    same cost: of those with no more slot-seconds the one with the shortest waits. If there is none, the nearest.
    """
    theirs, best = [row[baseline] for row in tuning], ()
    for place, (kind, name) in enumerate(settings):
        if kind == HIVE:
            found = compared([row[place] for row in tuning], theirs)
            cost, wait = (found[part]["median"] for part in ("slot_seconds_ratio", "wait_p99_ratio"))
            held, freed = (wait, cost) if what == "same_wait" else (cost, wait)
            best = min(best or (math.inf, math.inf, 0, ""), (max(1.0, held), freed, place, name))
    _, _, place, name = best
    judged_rows = [row[place] for row in judging], [row[baseline] for row in judging]
    return {"setting": name, **compared(*judged_rows)}


def hindsight(settings: list[Setting], ours: list[tuple[float, float]], judging: list[Any]) -> dict[str, Any]:
    """Compare with the setting of all baselines that turns out best for each application."""
    places = [place for place, (kind, _) in enumerate(settings) if kind != HIVE]
    ratios = []
    for our, row in zip(ours, judging, strict=True):
        costs = [row[place][1] for place in places if row[place][0] <= our[0] + GRAIN_S]
        if costs:
            ratios.append(our[1] / min(costs))
    return {"applications": len(ratios), "unmatched": len(ours) - len(ratios), "slot_seconds_ratio": spread(ratios)}


def main() -> None:
    """Simulate, tune, judge, and print the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("HIVE_DATA_DIR", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(shared) / "azure-functions-2019")
    parser.add_argument("--apps", type=int, default=100)
    parser.add_argument(
        "--minutes", type=int, default=1440, help="of the day, from its beginning; idle ones are left out"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--start-delay-s", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with gzip.open(options.data / "apps1000_invocations_per_minute.csv.gz", "rt") as lines:
        series = read_series(lines, "azure")
    with gzip.open(options.data / "apps1000_durations.csv.gz", "rt") as lines:
        services = read_service_times(lines)
    chosen = busiest([one for one in series if one.name in services], options.apps)
    chosen = [replace(one, values=one.values[: options.minutes]) for one in chosen]
    # Of a part of the day only: what has no task has no wait, and may have no slots to compare.
    chosen = [one for one in chosen if one.total]
    settings, began_s = grid(options.start_delay_s), time.perf_counter()
    jobs = [(one, services[one.name], options.start_delay_s, options.seed) for one in chosen]
    with multiprocessing.Pool(options.jobs) as pool:
        rows = pool.map(measured, jobs, chunksize=1)
    tuning, judging = rows[0::2], rows[1::2]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    record = {
        "commit": commit.stdout.strip() or None,
        "options": {name: str(value) for name, value in vars(options).items() if name not in {"data", "output"}},
        "applications": {"tuning": len(tuning), "judged": len(judging)},
        "tasks": round(sum(one.total for one in chosen)),
        "settings": len(settings),
        "seconds": round(time.perf_counter() - began_s, 1),
        "goals": [judged(settings, tuning, judging, goal_s) for goal_s in GOALS_S],
    }
    text = json.dumps(record, indent=2)
    if options.output:
        names = [one.name for one in chosen]
        options.output.write_text(json.dumps({**record, "names": names, "grid": settings, "rows": rows}))
    print(text)


if __name__ == "__main__":
    main()
