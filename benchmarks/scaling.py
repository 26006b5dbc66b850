"""What hive's scaling policy saves beside Celery's autoscaler, KEDA's list length and a fixed size, each best-tuned.

    python benchmarks/scaling.py [--data DIR] [--apps N] [--minutes N] [--jobs N] [--start-delay-s S] [--seed N]
                                 [--rows FILE] [--hindsight]

Over the busiest applications of the Azure Functions 2019 sets (``HIVE_DATA_DIR``): one day of arrivals a minute and the
quantiles of their durations. Every second application, by rank, is for tuning, the others are judged. For each goal (a
p99 wait that at least 75 % of the applications keep) each kind of scaler is tuned alone: of the settings that keep the
goal on the tuning half the one with the least slot-seconds (geometric mean); where none keeps it, the one that keeps it
for most applications. The best baseline is the kind that costs least there. hive is tuned beside it, on the tuning half
too, once to the same p99 wait (at most ``SAME`` times it) and once to the same slot-seconds (medians over applications),
and judged on the other half, application by application: ratios of slot-seconds and of p99 waits, medians and quartiles.

With ``--hindsight`` a harder comparison comes with it: hive's one tuned setting against whichever setting of all
baselines, chosen for each judged application after the fact, is cheapest at a p99 wait no longer than hive's (and 0.1 s
over it). All settings are simulated on the judged half for it; else only those that the tuning has chosen.

``--rows FILE`` keeps what each application came to, so that a run that was ended goes on where it was. The file is
refused after the code of the simulation has changed.

A fixed size is given the true mean demand of the day, which nobody knows beforehand. Caveats: arrivals within a minute
are uniform; every slot takes `--start-delay-s` to start, for every scaler; the broker's own time is not modelled.
Prints one JSON record. The same seed gives the same figures.
"""

import argparse
import gzip
import hashlib
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.pool import Pool
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
#: Quotient of two p99 waits up to which they are the same: a tenth of the second between two decisions, of six.
SAME = 1.02
HIVE = "hive"

Setting = tuple[str, str]
#: (p99 wait in seconds, slot-seconds) of each setting on one application.
Row = dict[Setting, tuple[float, float]]
Job = tuple[Series, ServiceTimes, float, int, frozenset[Setting]]


def ways(start_delay_s: float) -> dict[str, tuple[float, ScalingRules]]:
    """Return what hive is tried with, by name: seconds between two decisions, and rules.

    A fleet decides every two seconds, a worker for its own pool each second. The lean ones start slots for tasks that are
    there alone, and give them back at once.
    """
    usual = {
        f"target wait {target_s:g} s": (
            HiveScaler.EVERY_S,
            ScalingRules(
                minimum=0,
                maximum=MAXIMUM,
                target_wait_s=target_s,
                plan_ahead_s=start_delay_s + HiveScaler.EVERY_S,
            ),
        )
        for target_s in (0.5, 1, 2, 5)
    }
    lean = {
        f"lean, target wait {target_s:g} s": (
            1.0,
            ScalingRules(
                minimum=0,
                maximum=MAXIMUM,
                target_wait_s=target_s,
                plan_ahead_s=start_delay_s + 1.0,
            ).lean(),
        )
        for target_s in (1, 3, 6)
    }
    return usual | lean


def grid(start_delay_s: float) -> list[Setting]:
    """Return every setting that is tried, (kind, setting in words), in the order of what is measured."""
    others = [(one.kind, one.setting) for one in candidates(0, MAXIMUM, 1.0)]
    return [*((HIVE, name) for name in ways(start_delay_s)), *others]


def measured(job: Job) -> tuple[str, Row]:
    """Return what the settings asked for come to on one application."""
    series, service, start_delay_s, seed, asked = job
    workload = Workload(series=series, service=service, seed=seed)
    tasks, expected = workload.drawn(), outlooks(series)
    makers: dict[Setting, Callable[[], Scaler]] = {
        (HIVE, name): partial(HiveScaler, rules, expected, series.step_s, start_delay_s, every_s)
        for name, (every_s, rules) in ways(start_delay_s).items()
    }
    makers |= {(one.kind, one.setting): one.make for one in candidates(0, MAXIMUM, workload.demand)}
    row = {}
    for setting in asked:
        outcome = simulate(workload, makers[setting](), Conditions(start_delay_s=start_delay_s), tasks)
        row[setting] = (outcome.wait_p99_s, outcome.slot_seconds)
    return series.name, row


class Rows:
    """What applications came to, by name; kept in a file of JSON lines where one is given.

    Args:
        path: of the file; None: nothing is kept.
        terms: what the figures hold for; a file with others is refused.
    """

    def __init__(self, path: Path | None, terms: dict[str, Any]) -> None:
        self._path, self._rows = path, dict[str, Row]()
        if path is None:
            return
        if not path.exists():
            path.write_text(json.dumps(terms) + "\n")
        heading, *lines = path.read_text().splitlines()
        if json.loads(heading) != terms:
            raise SystemExit(f"{path} is of other options or of other code: name another file")
        for line in lines:
            name, found = json.loads(line)
            self._add(name, {(kind, setting): (wait_s, cost) for kind, setting, wait_s, cost in found})

    def simulated(
        self, pool: Pool, chosen: list[Series], services: dict[str, ServiceTimes], options: Any, asked: set[Setting]
    ) -> list[Row]:
        """Return the rows of some applications with at least the settings asked for; simulate what is not there."""
        jobs: list[Job] = []
        for one in chosen:
            missing = frozenset(asked - self._rows.get(one.name, {}).keys())
            if missing:
                jobs.append((one, services[one.name], options.start_delay_s, options.seed, missing))
        for done, (name, row) in enumerate(pool.imap_unordered(measured, jobs), start=1):
            self._add(name, row)
            if self._path is not None:
                with self._path.open("a") as lines:
                    lines.write(json.dumps([name, [[*setting, *figures] for setting, figures in row.items()]]) + "\n")
            print(f"{done} of {len(jobs)} applications, {len(asked)} settings", file=sys.stderr, flush=True)
        return [self._rows[one.name] for one in chosen]

    def _add(self, name: str, row: Row) -> None:
        self._rows.setdefault(name, {}).update(row)


def code() -> str:
    """Return a digest of what the figures depend on."""
    parts = (path for name in ("scaling", "simulation", "learning") for path in (ROOT / "hive" / name).glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(parts))).hexdigest()[:16]


def tuned(kind: str, rows: list[Row], goal_s: float) -> dict[str, Any]:
    """Choose the setting of a kind on the tuning half."""
    ranked = []
    for setting in rows[0]:
        if setting[0] == kind:
            kept = sum(row[setting][0] <= goal_s for row in rows) / len(rows)
            cost = math.exp(statistics.fmean(math.log(row[setting][1]) for row in rows))
            ranked.append((kept < KEPT, -kept if kept < KEPT else 0.0, cost, kept, setting))
    _, _, cost, kept, setting = min(ranked)
    return {"setting": setting, "kept": kept, "slot_seconds": round(cost)}


def spread(values: list[float]) -> dict[str, float]:
    """Return median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}


def compared(ours: Setting, theirs: Setting, rows: list[Row]) -> dict[str, Any]:
    """Compare two settings over some applications."""
    costs = [row[ours][1] / row[theirs][1] for row in rows]
    waits = [(row[ours][0] + GRAIN_S) / (row[theirs][0] + GRAIN_S) for row in rows]
    return {
        "slot_seconds_ratio": spread(costs),
        "wait_p99_ratio": spread(waits),
        "applications_that_alone_pass": sum(map(passes, waits, costs)),
        "bar_met_by_medians": passes(statistics.median(waits), statistics.median(costs)),
    }


def passes(wait: float, cost: float) -> bool:
    """Tell whether ratios of p99 waits and of slot-seconds meet the bar."""
    return (wait <= SAME and cost <= 0.8) or (cost <= 1.0 and wait <= 0.5)


def choices(tuning: list[Row], goal_s: float) -> dict[str, Any]:
    """Choose on the tuning half for one goal: each kind's setting, the best baseline, and hive's beside it."""
    kinds = list(dict.fromkeys(kind for kind, _ in tuning[0]))
    chosen = {kind: tuned(kind, tuning, goal_s) for kind in kinds}
    others = [one for kind, one in chosen.items() if kind != HIVE]
    able = [one for one in others if one["kept"] >= KEPT] or others
    best = min(able, key=lambda one: one["slot_seconds"])["setting"]
    matched = {what: matching(what, tuning, best) for what in ("same_wait", "same_cost")}
    return {"tuned": chosen, "best": best, "matched": matched}


def matching(what: str, tuning: list[Row], baseline: Setting) -> Setting:
    """Choose hive's setting on the tuning half by what is to be the same as the baseline's.

    The same wait: of the settings whose p99 wait is no longer (median of the ratios) the one that costs least. The
    same cost: of those with no more slot-seconds the one with the shortest waits. If there is none, the nearest.
    """
    ranked = []
    for setting in tuning[0]:
        if setting[0] == HIVE:
            found = compared(setting, baseline, tuning)
            cost, wait = (found[part]["median"] for part in ("slot_seconds_ratio", "wait_p99_ratio"))
            ranked.append((max(SAME, wait), cost, setting) if what == "same_wait" else (max(1.0, cost), wait, setting))
    return min(ranked)[-1]


def judged(goal_s: float, choice: dict[str, Any], judging: list[Row], *, in_hindsight: bool) -> dict[str, Any]:
    """Compare on the judged half what was chosen for one goal on the other."""
    ours = choice["tuned"][HIVE]["setting"]
    for one in choice["tuned"].values():
        one["kept_when_judged"] = sum(row[one["setting"]][0] <= goal_s for row in judging) / len(judging)
    found = {
        "goal_p99_wait_s": goal_s,
        "tuned": choice["tuned"],
        "best_baseline": choice["best"],
        "against_best": {
            what: {"setting": setting, **compared(setting, choice["best"], judging)}
            for what, setting in choice["matched"].items()
        },
        "each_tuned_to_the_goal": {
            kind: compared(ours, one["setting"], judging) for kind, one in choice["tuned"].items() if kind != HIVE
        },
    }
    return found | ({"hindsight": hindsight(ours, judging)} if in_hindsight else {})


def hindsight(ours: Setting, judging: list[Row]) -> dict[str, Any]:
    """Compare with the setting of all baselines that turns out best for each application."""
    ratios = []
    for row in judging:
        wait_s, cost = row[ours]
        costs = [one[1] for setting, one in row.items() if setting[0] != HIVE and one[0] <= wait_s + GRAIN_S]
        if costs:
            ratios.append(cost / min(costs))
    return {"applications": len(ratios), "unmatched": len(judging) - len(ratios), "slot_seconds_ratio": spread(ratios)}


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
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--hindsight", action="store_true")
    options = parser.parse_args()
    with gzip.open(options.data / "apps1000_invocations_per_minute.csv.gz", "rt") as lines:
        series = read_series(lines, "azure")
    with gzip.open(options.data / "apps1000_durations.csv.gz", "rt") as lines:
        services = read_service_times(lines)
    chosen = busiest([one for one in series if one.name in services], options.apps)
    chosen = [replace(one, values=one.values[: options.minutes]) for one in chosen]
    # Of a part of the day only: what has no task has no wait, and may have no slots to compare.
    chosen = [one for one in chosen if one.total]
    terms = {name: getattr(options, name) for name in ("minutes", "start_delay_s", "seed")} | {"code": code()}
    kept, settings, began_s = Rows(options.rows, terms), set(grid(options.start_delay_s)), time.perf_counter()
    with multiprocessing.Pool(options.jobs) as pool:
        tuning = kept.simulated(pool, chosen[0::2], services, options, settings)
        found = {goal_s: choices(tuning, goal_s) for goal_s in GOALS_S}
        needed = {one["setting"] for choice in found.values() for one in choice["tuned"].values()}
        needed |= {setting for choice in found.values() for setting in choice["matched"].values()}
        judging = kept.simulated(pool, chosen[1::2], services, options, settings if options.hindsight else needed)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    record = {
        "commit": commit.stdout.strip() or None,
        "options": {name: str(value) for name, value in vars(options).items() if name not in {"data", "rows"}},
        "applications": {"tuning": len(tuning), "judged": len(judging)},
        "tasks": round(sum(one.total for one in chosen)),
        "settings": len(settings),
        "seconds": round(time.perf_counter() - began_s, 1),
        "goals": [judged(goal_s, choice, judging, in_hindsight=options.hindsight) for goal_s, choice in found.items()],
    }
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
