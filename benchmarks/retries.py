"""Adaptive retries beside fixed ones, replayed in virtual time with hive's own strategies.

    python benchmarks/retries.py [--seeds 1 2 3 4 5] [--json]

The replays:

traces     agent-traces, tau-bench: 30 tasks, each run four times. An invocation is one of the tasks with its four trials in
           random order; a failed answer is a bug. Attempts take as long as aider's exercises did.
answers    agent-traces, aider: each model is a task whose answers are malformed (dependency) or late (timeout) as often as
           the leaderboards say; the next answer is malformed with the same chance, whenever it is asked for. So there is
           nothing to learn.
causes     stated models, all at once: network blips (log-normal, median 1 s, sigma 0.8), rate limits without Retry-After
           (the minute's rest, uniform), outages seen by single callers (log-normal, median 90 s, sigma 0.4), and answers of a
           model that are malformed by chance (one in five).
chance     nothing to learn: every attempt succeeds with chance one half, at any time, for every task.
memoryless nothing to learn but a rate: what is broken recovers after an exponential time of mean 10 s.

What is told for each strategy: failed retries for each failed task, seconds from the first failure to success (waits, and
the attempts' own time), the share that was done, and the cost in seconds of waiting: a failed retry is worth 10 s, a task not
done 600 s. The best fixed strategy is the one of least cost over all seeds; all figures are means over seeds, the spread is
from the least to the greatest seed.

Caveats: recoveries are each invocation's own; an outage that meets all at once is what `benchmarks/storm.py` is about. Each
seed starts with nothing learned, so what learning costs is in the figures.
"""

import argparse
import gzip
import heapq
import json
import os
import platform
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from hive.resilience.adaptive import Outcomes, bin_of
from hive.resilience.causes import Cause
from hive.resilience.failure import Failure
from hive.resilience.strategies import (
    AdaptiveRetry,
    ExponentialRetry,
    FibonacciRetry,
    ImmediateRetry,
    LinearRetry,
    PriorityRetry,
    RetryStrategy,
)

DATA = Path(os.environ.get("HIVE_DATA_DIR", "../shared/data")) / "agent-traces"
SEEDS = (1, 2, 3, 4, 5)
ATTEMPT_COST_S, LOSS_S = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class Invocation:
    """A task whose first attempt fails at ``at_s``; what follows depends on when it is tried.

    Attributes:
        at_s: virtual time of the first failure.
        task: its name.
        cause: of every failure.
        succeeds: whether the n-th retry succeeds if it begins so many seconds after the first failure.
        attempt_s: how long each attempt takes.
    """

    at_s: float
    task: str
    cause: Cause
    succeeds: Callable[[int, float], bool]
    attempt_s: float = 0.0


@dataclass(slots=True)
class Tally:
    """What a strategy made of a replay."""

    wasted: int = 0
    done: int = 0
    count: int = 0
    seconds: list[float] = field(default_factory=list)
    waited_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """Return the figures of one seed, each for one invocation."""
        cost_s = self.waited_s + ATTEMPT_COST_S * self.wasted + LOSS_S * (self.count - self.done)
        return {
            "wasted": self.wasted / self.count,
            "success_s": statistics.fmean(self.seconds) if self.seconds else float("nan"),
            "done": self.done / self.count,
            "cost_s": cost_s / self.count,
        }


def replay(invocations: Sequence[Invocation], strategy: RetryStrategy, seed: int) -> Tally:
    """Run a replay: every failure is decided when it happens, every outcome learned when it is known."""
    tally, source = Tally(count=len(invocations)), random.Random(f"strategy {seed}")
    learned: dict[tuple[str, Cause], Outcomes] = defaultdict(Outcomes)
    failures = [(one.at_s, place, 0, None) for place, one in enumerate(invocations)]
    heapq.heapify(failures)
    while failures:
        now_s, place, retries, chosen = heapq.heappop(failures)
        one = invocations[place]
        outcomes = learned[one.task, one.cause]
        if chosen is not None:
            began_s = now_s - one.attempt_s - one.at_s
            succeeded = one.succeeds(retries, began_s)
            outcomes.add((chosen, max(bin_of(began_s), chosen)), done=succeeded)
            if succeeded:
                tally.done += 1
                tally.seconds.append(now_s - one.at_s)
                tally.waited_s += now_s - one.at_s
                continue
            tally.wasted += 1
        failure = Failure(task=one.task, cause=one.cause, retries=retries, elapsed_s=now_s - one.at_s)
        decision = strategy.decide(failure, source, outcomes)
        if decision.delay_s is None:
            tally.waited_s += now_s - one.at_s
            continue
        chosen = bin_of(now_s - one.at_s)
        heapq.heappush(failures, (now_s + decision.delay_s + one.attempt_s, place, retries + 1, chosen))
    return tally


def traces(source: random.Random) -> list[Invocation]:
    """Build the replay of tau-bench's repeated runs; the first trial of the order is the attempt that failed."""
    trials: dict[int, list[float]] = defaultdict(list)
    with gzip.open(DATA / "taubench_gpt4o_airline.jsonl.gz", "rt") as lines:
        for run in map(json.loads, lines):
            trials[run["task_id"]].append(run["reward"])
    durations = [row["seconds_per_case"] for row in _aider() if row.get("seconds_per_case")]
    found: list[Invocation] = []
    at_s = 0.0
    while len(found) < 8000:
        at_s += source.expovariate(1 / 20)
        task = source.choice(sorted(trials))
        order = source.sample(trials[task], len(trials[task]))
        if order[0] == 1.0:
            continue
        found.append(
            Invocation(
                at_s, f"tau-{task}", Cause.BUG, lambda n, _, order=order: order[n] == 1.0, source.choice(durations)
            )
        )
    return found


def answers(source: random.Random) -> list[Invocation]:
    """Build the replay of malformed and late answers of aider's models."""
    kinds = []
    for row in _aider():
        cases = row.get("test_cases") or 0
        for column, cause in (("num_malformed_responses", Cause.DEPENDENCY), ("test_timeouts", Cause.TIMEOUT)):
            share = min((row.get(column) or 0) / cases, 0.9) if cases else 0
            if share:
                kinds.append((row["model"], cause, share, row.get("seconds_per_case") or 10.0))
    found, at_s = [], 0.0
    for model, cause, share, attempt_s in source.choices(kinds, weights=[kind[2] for kind in kinds], k=8000):
        at_s += source.expovariate(1 / 5)
        found.append(Invocation(at_s, model, cause, _by_chance(source, 1 - share), attempt_s))
    return found


def causes(source: random.Random) -> list[Invocation]:
    """Build the replay of the stated models."""
    found, at_s = [], 0.0
    for kind in source.choices(("blip", "limit", "outage", "answer"), weights=(4, 2, 1, 3), k=8000):
        at_s += source.expovariate(1 / 2)
        if kind == "blip":
            found.append(_recovering(at_s, "fetch", Cause.NETWORK, source.lognormvariate(0.0, 0.8)))
        elif kind == "limit":
            found.append(_recovering(at_s, "complete", Cause.RATE_LIMIT, source.uniform(0, 60)))
        elif kind == "outage":
            found.append(_recovering(at_s, "tool", Cause.DEPENDENCY, source.lognormvariate(4.5, 0.4)))
        else:
            found.append(Invocation(at_s, "complete", Cause.DEPENDENCY, _by_chance(source, 0.8)))
    return found


def chance(source: random.Random) -> list[Invocation]:
    """Build the replay in which nothing helps or harms."""
    return [Invocation(2.0 * place, "toss", Cause.DEPENDENCY, _by_chance(source, 0.5)) for place in range(8000)]


def memoryless(source: random.Random) -> list[Invocation]:
    """Build the replay whose recoveries do not age."""
    rest = [source.expovariate(1 / 10) for _ in range(8000)]
    return [_recovering(2.0 * place, "wait", Cause.NETWORK, rest_s) for place, rest_s in enumerate(rest)]


def _recovering(at_s: float, task: str, cause: Cause, after_s: float) -> Invocation:
    return Invocation(at_s, task, cause, lambda _, elapsed_s: elapsed_s >= after_s)


def _by_chance(source: random.Random, share: float) -> Callable[[int, float], bool]:
    tosses = [source.random() < share for _ in range(20)]
    return lambda n, _: tosses[n]


def _aider() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(DATA.glob("aider_*.yml.gz")):
        rows += yaml.safe_load(gzip.decompress(path.read_bytes()))
    return rows


#: Replay, retries after the first attempt, whether there is anything to learn.
REPLAYS: dict[str, tuple[Callable[[random.Random], list[Invocation]], int, bool]] = {
    "traces": (traces, 3, True),
    "answers": (answers, 8, False),
    "causes": (causes, 8, True),
    "chance": (chance, 8, False),
    "memoryless": (memoryless, 8, False),
}


def fixed(retries: int) -> dict[str, RetryStrategy]:
    """Return the fixed strategies under their names."""
    found: dict[str, RetryStrategy] = {"immediate": ImmediateRetry(max_retries=retries)}
    for base_s in (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0):
        found[f"linear {base_s:g} s"] = LinearRetry(base_s=base_s, max_retries=retries)
        found[f"exponential {base_s:g} s"] = ExponentialRetry(base_s=base_s, max_retries=retries)
        found[f"fibonacci {base_s:g} s"] = FibonacciRetry(base_s=base_s, max_retries=retries)
    found["priority"] = PriorityRetry(max_retries=retries)
    return found


def measure(name: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Run one replay with every strategy and every seed."""
    build, retries, is_learnable = REPLAYS[name]
    worlds = {seed: build(random.Random(f"{name} {seed}")) for seed in seeds}
    strategies = {**fixed(retries), "adaptive": AdaptiveRetry(max_retries=retries, attempt_cost_s=ATTEMPT_COST_S)}
    rows = {
        label: [replay(worlds[seed], strategy, seed).figures() for seed in seeds]
        for label, strategy in strategies.items()
    }
    means = {label: _means(figures) for label, figures in rows.items()}
    best = min((label for label in rows if label != "adaptive"), key=lambda label: means[label]["cost_s"])
    return {
        "replay": name,
        "learnable": is_learnable,
        "seeds": list(seeds),
        "invocations": len(worlds[seeds[0]]),
        "best_fixed": best,
        "means": means,
        "spread": {
            label: {key: [min(r[key] for r in rows[label]), max(r[key] for r in rows[label])] for key in means[label]}
            for label in (best, "adaptive")
        },
        "bar": verdict(means["adaptive"], means[best], is_learnable=is_learnable),
    }


def verdict(adaptive: dict[str, float], best: dict[str, float], *, is_learnable: bool) -> dict[str, bool]:
    """Say which parts of the bar are met."""
    if not is_learnable:
        return {"cost within 5 %": adaptive["cost_s"] <= 1.05 * best["cost_s"]}
    return {
        "fewer wasted": adaptive["wasted"] < best["wasted"],
        "time to success": adaptive["success_s"] <= best["success_s"],
        "as many done": adaptive["done"] >= best["done"] - 0.01,
    }


def _means(figures: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.fmean(one[key] for one in figures) for key in figures[0]}


def show(found: dict[str, Any]) -> None:
    """Print one replay's table: the best of the fixed strategies first, and the adaptive one."""
    means, best = found["means"], found["best_fixed"]
    print(f"\n{found['replay']}: {found['invocations']} failed tasks, seeds {found['seeds']}")
    print(f"  {'strategy':<20}{'wasted':>8}{'success s':>11}{'done':>8}{'cost s':>9}")
    others = sorted((label for label in means if label != "adaptive"), key=lambda label: means[label]["cost_s"])
    for label in (*others[:4], "immediate", "exponential 1 s", "adaptive"):
        one = means[label]
        print(f"  {label:<20}{one['wasted']:>8.3f}{one['success_s']:>11.2f}{one['done']:>8.3f}{one['cost_s']:>9.2f}")
    for label in (best, "adaptive"):
        spread = ", ".join(f"{key} {low:.3g}..{high:.3g}" for key, (low, high) in found["spread"][label].items())
        print(f"  spread of {label}: {spread}")
    print("  " + ", ".join(f"{part}: {'met' if met else 'MISSED'}" for part, met in found["bar"].items()))


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("replays", nargs="*", metavar="REPLAY", help="all of them if none is named")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--json", action="store_true", help="print one JSON record instead of tables")
    options = parser.parse_args()
    found = []
    for name in options.replays or REPLAYS:
        found.append(measure(name, options.seeds))
        if not options.json:
            show(found[-1])
    if options.json:
        machine = {"python": platform.python_version(), "system": platform.platform()}
        print(
            json.dumps({"machine": machine, "costs": {"attempt_s": ATTEMPT_COST_S, "loss_s": LOSS_S}, "replays": found})
        )


if __name__ == "__main__":
    main()
