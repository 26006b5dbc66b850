"""What affinity gains and costs on a trace of requests that share prefixes: cache hits and waiting times, simulated.

    python benchmarks/affinity.py [--trace FILE] [--workers N] [--slots N] [--cache-blocks N] [--spill-over X] [--seed N]

Replays requests of a Mooncake trace (JSON lines: timestamp in ms, tokens in and out, ids of the prompt's blocks of 512
tokens) on workers that each keep the blocks they used last, up to `--cache-blocks` (least recently used out). The key of a
request is its second block: the first is common to most. A request takes 0.1 s + 0.2 ms for each token of its prompt that
is not in the cache + 10 ms for each token of the answer. Callers know what the workers reported at the last full second,
and what they themselves sent since; each second a worker notes the longest lane of another, and with a free slot and an empty
lane of its own it steals half of what that has above its bound, at the end of each task too, as hive's workers do. The same trace is routed by the least loaded of two, by perfect affinity (a key never moves and
nobody steals), and by hive's affinity. Printed as one JSON record: share of prompt blocks found in the cache, quantiles of
the wait in seconds, and the two ratios: hits to those of perfect affinity, 99th percentile of the wait to that of least
loaded.

Caveats: durations are not in the trace; the constants above are a stand-in. One caller routes all requests.
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
from hive.routing.candidates import Call, Pool, Worker  # noqa: E402
from hive.routing.least_loaded import LeastLoaded  # noqa: E402
from hive.routing.strategy import Strategy  # noqa: E402

TYPE = AgentType(name="simulated")
DATA = Path(os.environ.get("HIVE_DATA_DIR", ROOT.parent / "shared" / "data"))
BLOCK_TOKENS = 512
BASE_S, INPUT_S, OUTPUT_S = 0.1, 0.0002, 0.01
#: Requests that a worker holds for each slot, of stolen ones too.
PREFETCH = 4


class Station:
    """One worker: slots, lane and cache."""

    def __init__(self, name: str, slots: int, cache_blocks: int) -> None:
        self.name, self.slots, self.busy, self.finished, self.worked_s = name, slots, 0, 0, 0.0
        self.lane: deque[dict[str, Any]] = deque()
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
        return Worker(name=self.name, slots=self.slots, busy=self.busy, queued=len(self.lane), rate=rate)


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
        self._number = self.hit_blocks = self.all_blocks = 0
        self.waits_s: list[float] = []
        #: By thief the lane to steal from, and what is left to it.
        self._long: dict[str, tuple[Station, int]] = {}

    def run(self, requests: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Return what became of all requests."""
        by_name = {station.name: station for station in self._stations}
        pool, second = Pool(TYPE), -1
        for number, request in enumerate(requests):
            now_s = request["timestamp"] / 1000
            while second < int(now_s):
                second += 1
                self._until(second)
                self._look(second)
                pool = Pool(TYPE, [one.report() for one in self._stations], float(second), before=pool)
            self._until(now_s)
            blocks = request["hash_ids"]
            call = Call(affinity=str(blocks[min(1, len(blocks) - 1)]), number=number)
            worker = self._strategy.choose(call, (pool,), now_s, self._rng).worker
            if worker is None:
                raise RuntimeError("every worker has reported")
            pool.note(worker, now_s)
            by_name[worker].lane.append(request)
            self._begin(by_name[worker], now_s)
        while self._ends:
            self._until(self._ends[0][0])
        self.waits_s.sort()
        quantiles = {f"wait_p{share}_s": self.waits_s[len(self.waits_s) * share // 100] for share in (50, 95, 99)}
        return {"hits": self.hit_blocks / self.all_blocks, **quantiles}

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
        above = [(len(one.lane) - max(round(self._keep * one.slots), 1), one) for one in self._stations]
        for thief in self._stations:
            self._long.pop(thief.name, None)
            excess, victim = max((pair for pair in above if pair[1] is not thief), key=lambda pair: pair[0])
            if excess > 0:
                self._long[thief.name] = (victim, len(victim.lane) - excess)
        for thief in self._stations:
            self._steal(thief, now_s)

    def _steal(self, thief: Station, now_s: float) -> None:
        victim, bound = self._long.get(thief.name, (thief, 0))
        while not thief.lane and thief.busy < thief.slots and len(victim.lane) > bound:
            half, room = -(-(len(victim.lane) - bound) // 2), PREFETCH * thief.slots - thief.busy
            for _ in range(min(half, room)):
                thief.lane.append(victim.lane.popleft())
            self._begin(thief, now_s)


def read(path: Path, most: int) -> list[dict[str, Any]]:
    """Return the requests of a trace, at most so many."""
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for _, line in zip(range(most), lines, strict=False)]


def main() -> None:
    """Replay and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trace = DATA / "llm-inference" / "mooncake_conversation_first_half.jsonl.gz"
    parser.add_argument("--trace", type=Path, default=trace)
    parser.add_argument("--requests", type=int, default=100_000, help="at most")
    parser.add_argument("--workers", type=int, default=7)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--cache-blocks", type=int, default=4_000)
    parser.add_argument("--spill-over", type=float, default=4.0)
    parser.add_argument("--keep-per-slot", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    requests = read(options.trace, options.requests)
    found = {
        "least loaded": Replay(options, LeastLoaded(), None).run(requests),
        "perfect affinity": Replay(options, Affinity(float("inf")), None).run(requests),
        "affinity": Replay(options, Affinity(options.spill_over), options.keep_per_slot).run(requests),
    }
    for one in found.values():
        one.update({name: round(value, 4) for name, value in one.items()})
    ratios = {
        "hits_to_perfect": round(found["affinity"]["hits"] / found["perfect affinity"]["hits"], 4),
        "wait_p99_to_least_loaded": round(found["affinity"]["wait_p99_s"] / found["least loaded"]["wait_p99_s"], 4)
        if found["least loaded"]["wait_p99_s"]
        else None,
    }
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    print(json.dumps({"replayed": len(requests), "found": found, **ratios, **settings}, indent=2))


if __name__ == "__main__":
    main()
