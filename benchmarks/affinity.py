"""What affinity gains and costs on a trace of requests that share prefixes: cache hits and waiting times, simulated.

    python benchmarks/affinity.py [--trace FILE] [--workers N,N,...] [--slots N] [--cache-blocks N] [--callers N]
        [--miss-cost X] [--keep-per-slot X] [--seed N]

Replays requests of a Mooncake trace (JSON lines: timestamp in ms, tokens in and out, ids of the prompt's blocks of 512
tokens) on workers that each keep the blocks they used last, up to `--cache-blocks` (least recently used out). The key of a
request is its second block: the first is common to most. A request takes 0.1 s + 0.2 ms for each token of its prompt that
is not in the cache + 10 ms for each token of the answer. Callers, of which each request has one at random, know what the
workers reported at the last full second, and what they themselves sent since. Each second a worker notes the longest lane
of another; with a free slot and an empty lane of its own it steals from there what it can begin, at most half of what is above
the bound, then and at the end of each task, as hive's workers do. The same trace is routed by the least loaded of two, by
perfect affinity (a key never leaves the first worker in its order, and nobody steals), and by hive's affinity.

Prints a row for each number of workers (to stderr) and one JSON record: the share of prompt blocks found in the cache,
quantiles of the wait in seconds, the slots' utilisation under least loaded, and the two ratios: hits to those of perfect
affinity, 99th percentile of the wait to that of least loaded. Where hardly anybody waits under least loaded (below 1 % its
99th percentile is 0) the second is the wait itself in seconds.

Caveats: durations are not in the trace; the constants above are a stand-in.
"""

import argparse
import gzip
import heapq
import json
import os
import random
import sys
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.agents.types import AgentType  # noqa: E402
from hive.routing.affinity import Affinity  # noqa: E402
from hive.routing.candidates import Call, Decision, Pool, Worker  # noqa: E402
from hive.routing.keys import RecentKeys, bucket_of, read_keys, weight  # noqa: E402
from hive.routing.least_loaded import LeastLoaded  # noqa: E402
from hive.routing.stealing import longest_lane  # noqa: E402
from hive.routing.strategy import Strategy  # noqa: E402
from hive.settings.parts import RoutingSettings  # noqa: E402

TYPE = AgentType(name="simulated")
DATA = Path(os.environ.get("HIVE_DATA_DIR", ROOT.parent / "shared" / "data"))
BLOCK_TOKENS = 512
BASE_S, INPUT_S, OUTPUT_S = 0.1, 0.0002, 0.01
#: What affinity is to reach: of the hits of perfect affinity, and of the wait of least loaded.
LEAST_HITS, MOST_WAIT = 0.95, 1.2


class Perfect:
    """A key never leaves the first worker in its order."""

    name = "perfect"

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:  # noqa: ARG002
        """Return the first worker."""
        bucket = bucket_of(call.affinity or "")
        first = max(pools[0].workers, key=lambda worker: weight(bucket, worker.seed))
        return Decision(agent_type=TYPE.name, worker=first.name, strategy=self.name, reason="the first")

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:  # noqa: ARG002 - a strategy's signature
        """Return the worker's weight for the key."""
        return weight(bucket_of(call.affinity or ""), worker.seed)


class Station:
    """One worker: slots, lane and cache."""

    def __init__(self, name: str, slots: int, cache_blocks: int) -> None:
        self.name, self.slots, self.busy, self.finished, self.worked_s = name, slots, 0, 0, 0.0
        self.lane: deque[dict[str, Any]] = deque()
        self.keys = RecentKeys()
        self._cache: OrderedDict[int, None] = OrderedDict()
        self._cache_blocks = cache_blocks

    def hits(self, blocks: Sequence[int]) -> int:
        """Return how many blocks from the first on are in the cache, and put all of them there."""
        count = next((place for place, block in enumerate(blocks) if block not in self._cache), len(blocks))
        for block in blocks:
            self._cache[block] = None
            self._cache.move_to_end(block)
        while len(self._cache) > self._cache_blocks:
            self._cache.popitem(last=False)
        return count

    def report(self) -> Worker:
        """Return what it says of itself."""
        rate = self.finished / self.worked_s if self.worked_s else None
        keys = read_keys(self.keys.written())
        return Worker(name=self.name, slots=self.slots, busy=self.busy, queued=len(self.lane), rate=rate, keys=keys)


class Replay:
    """One run over the trace.

    Args:
        options: of the command line.
        strategy: routes.
        keep_per_slot: what a lane keeps to itself; none: nobody steals.
    """

    def __init__(self, options: argparse.Namespace, strategy: Strategy, keep_per_slot: float | None) -> None:
        self._stations = [Station(f"worker{n}", options.slots, options.cache_blocks) for n in range(options.workers)]
        self._strategy, self._keep, self._rng = strategy, keep_per_slot, random.Random(options.seed)
        self._ends: list[tuple[float, int, Station, float]] = []
        self._callers = options.callers
        self._number = self.hit_blocks = self.all_blocks = 0
        self.waits_s: list[float] = []
        #: By thief the lane to steal from, and what is left to it.
        self._long: dict[str, tuple[Station, int]] = {}

    def run(self, requests: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Return what became of all requests."""
        by_name = {station.name: station for station in self._stations}
        pools, second = [Pool(TYPE)] * self._callers, -1
        for number, request in enumerate(requests):
            now_s = request["timestamp"] / 1000
            while second < int(now_s):
                second += 1
                self._until(second)
                self._look(second)
                reports = [one.report() for one in self._stations]
                pools = [Pool(TYPE, reports, float(second), before=pool) for pool in pools]
            self._until(now_s)
            call, pool = Call(affinity=key_of(request), number=number), self._rng.choice(pools)
            worker = self._strategy.choose(call, (pool,), now_s, self._rng).worker
            if worker is None:
                raise RuntimeError("every worker has reported")
            pool.note(worker, now_s, bucket_of(key_of(request)))
            by_name[worker].lane.append(request)
            self._begin(by_name[worker], now_s)
        while self._ends:
            self._until(self._ends[0][0])
        self.waits_s.sort()
        quantiles = {f"wait_p{share}_s": self.waits_s[len(self.waits_s) * share // 100] for share in (50, 95, 99)}
        slots_s = sum(one.slots for one in self._stations) * requests[-1]["timestamp"] / 1000
        busy = sum(one.worked_s for one in self._stations) / slots_s
        return {"hits": self.hit_blocks / self.all_blocks, "busy": busy, **quantiles}

    def _until(self, now_s: float) -> None:
        while self._ends and self._ends[0][0] <= now_s:
            end_s, _, station, service_s = heapq.heappop(self._ends)
            station.busy -= 1
            station.finished += 1
            station.worked_s += service_s
            self._begin(station, end_s)
            self._steal(station, end_s)

    def _begin(self, station: Station, now_s: float) -> None:
        while station.lane and station.busy < station.slots:
            request = station.lane.popleft()
            blocks = request["hash_ids"]
            station.keys.note(key_of(request))
            hits = station.hits(blocks)
            new_tokens = max(request["input_length"] - hits * BLOCK_TOKENS, 0)
            service_s = BASE_S + INPUT_S * new_tokens + OUTPUT_S * request["output_length"]
            self.hit_blocks, self.all_blocks = self.hit_blocks + hits, self.all_blocks + len(blocks)
            self.waits_s.append(now_s - request["timestamp"] / 1000)
            station.busy += 1
            self._number += 1
            heapq.heappush(self._ends, (now_s + service_s, self._number, station, service_s))

    def _look(self, now_s: float) -> None:
        """Let all find out whose lane is long, and those that are idle steal."""
        if self._keep is None:
            return
        reports, stations = [one.report() for one in self._stations], {one.name: one for one in self._stations}
        for thief in self._stations:
            self._long.pop(thief.name, None)
            others = {one.name: len(one.lane) for one in self._stations if one is not thief}
            if found := longest_lane(others, reports, self._keep):
                self._long[thief.name] = (stations[found[0]], found[1])
        for thief in self._stations:
            self._steal(thief, now_s)

    def _steal(self, thief: Station, now_s: float) -> None:
        victim, bound = self._long.get(thief.name, (thief, 0))
        while not thief.lane and thief.busy < thief.slots and len(victim.lane) > bound:
            half = -(-(len(victim.lane) - bound) // 2)
            for _ in range(min(half, thief.slots - thief.busy)):
                thief.lane.append(victim.lane.popleft())
            self._begin(thief, now_s)


def key_of(request: dict[str, Any]) -> str:
    """Return the key of a request: its second block, or the only one."""
    blocks = request["hash_ids"]
    return str(blocks[min(1, len(blocks) - 1)])


def read(path: Path, most: int) -> list[dict[str, Any]]:
    """Return the requests of a trace, at most so many."""
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for _, line in zip(range(most), lines, strict=False)]


def compared(workers: int, options: argparse.Namespace, requests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the three ways come to with so many workers."""
    options = argparse.Namespace(**{**vars(options), "workers": workers})
    found = {
        "least loaded": Replay(options, LeastLoaded(), None).run(requests),
        "perfect affinity": Replay(options, Perfect(), None).run(requests),
        "affinity": Replay(options, Affinity(options.miss_cost), options.keep_per_slot).run(requests),
    }
    hits = found["affinity"]["hits"] / found["perfect affinity"]["hits"]
    wait_s, least_s = found["affinity"]["wait_p99_s"], found["least loaded"]["wait_p99_s"]
    wait = wait_s / least_s if least_s else wait_s
    row = {"workers": workers, "busy": found["least loaded"]["busy"], "hits_to_perfect": hits}
    row["wait_p99_to_least_loaded" if least_s else "wait_p99_s_none_under_least_loaded"] = wait
    row = {name: round(value, 4) for name, value in row.items()}
    told = " ".join(f"{name} {value:g}" for name, value in row.items())
    print(f"{told} {'met' if hits >= LEAST_HITS and wait <= (MOST_WAIT if least_s else 0) else '-'}", file=sys.stderr)
    ways = {name: {what: round(value, 4) for what, value in one.items()} for name, one in found.items()}
    return {**row, "found": ways}


def main() -> None:
    """Replay and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trace = DATA / "llm-inference" / "mooncake_conversation_first_half.jsonl.gz"
    parser.add_argument("--trace", type=Path, default=trace)
    parser.add_argument("--requests", type=int, default=100_000, help="at most")
    numbers = lambda text: [int(one) for one in text.split(",")]  # noqa: E731
    parser.add_argument("--workers", type=numbers, default=[4, 5, 6, 7, 8, 9, 10, 11, 12, 16])
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--cache-blocks", type=int, default=4_000)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--miss-cost", type=float, default=Affinity().miss_cost)
    parser.add_argument("--keep-per-slot", type=float, default=RoutingSettings().keep_per_slot)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    requests = read(options.trace, options.requests)
    rows = [compared(workers, options, requests) for workers in options.workers]
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    print(json.dumps({**settings, "replayed": len(requests), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
