"""Affinity: where a key begins, that it stays, when it moves, and what workers tell of keys."""

import argparse
import json
import random

import pytest

from benchmarks.affinity import BLOCK_TOKENS, compared
from hive.agents.types import AgentType
from hive.routing.affinity import CHOICES, Affinity
from hive.routing.candidates import REMEMBERED, Call, Pool, Worker
from hive.routing.keys import RECENT, RecentKeys, bucket_of, read_keys
from hive.routing.report import LoadReport, worker_of

TYPE = AgentType(name="coder")
NAMES = [f"w{number}" for number in range(8)]
CALL = Call(affinity="conversation-7")
BUCKET = bucket_of("conversation-7")
RNG = random.Random(1)


def pool(home: str | None = None, before: Pool | None = None, **loads: int) -> Pool:
    """Eight workers with four slots, some of which have something to do, and one of which has had the key."""
    keys = {home: frozenset({BUCKET})}
    workers = [Worker(name=name, slots=4, busy=loads.get(name, 0), keys=keys.get(name, frozenset())) for name in NAMES]
    return Pool(TYPE, workers, before=before)


def chosen(known: Pool, miss_cost: float = 0.1) -> str:
    worker = Affinity(miss_cost).choose(CALL, (known,), 0.0, RNG).worker
    assert worker is not None
    return worker


def order() -> list[str]:
    """The workers in the order of the key, found by filling the first of those that are left."""
    found: list[str] = []
    while len(found) < CHOICES:
        found.append(chosen(pool(**dict.fromkeys(found, 9 - len(found)))))
    return found


def test_a_new_key_begins_with_the_least_loaded_of_the_first_in_its_order_whoever_asks() -> None:
    first = order()
    assert len(set(first)) == CHOICES
    # A worker that comes or goes changes the order of nobody else.
    fewer = Pool(TYPE, [Worker(name=name, slots=4) for name in reversed(NAMES) if name != first[0]])
    assert chosen(fewer) in first[1:]
    # Those behind the first are not asked, however free they are.
    assert chosen(pool(**dict.fromkeys(first, 1))) == first[0]
    other = {Affinity().choose(Call(affinity=f"k{n}"), (pool(),), 0.0, RNG).worker for n in range(200)}
    assert other == set(NAMES)


def test_a_key_stays_where_it_was_until_waiting_there_costs_more_than_a_miss() -> None:
    home = next(name for name in NAMES if name not in order())
    assert chosen(pool(home, **{home: 3})) == home
    # One may always wait. With another before it, half a task for each slot is ahead, while others are free.
    assert chosen(pool(home, **{home: 4})) == home
    assert chosen(pool(home, **{home: 5})) != home
    assert chosen(pool(home, **{home: 5}), miss_cost=0.5) == home
    assert chosen(pool(home, **{home: 9}), miss_cost=0.5) != home
    # In a full pool a miss costs those behind it, too.
    full = dict.fromkeys(NAMES, 4)
    assert chosen(pool(home, **{**full, home: 9})) == home
    assert chosen(pool(home, **{**full, home: 40})) != home


def test_what_a_caller_sent_counts_until_the_worker_tells_of_it() -> None:
    first = order()
    known = pool()
    known.note(first[1], 0.0, BUCKET)
    assert chosen(known) == first[1]
    for _ in range(REMEMBERED - 1):
        known = pool(before=known, **{first[1]: 1})
        assert chosen(known) == first[1]
    assert chosen(pool(before=known, **{first[1]: 1})) == first[0]


def test_one_slot_keeps_the_calls_that_follow_one_another() -> None:
    names = ("a", "b")
    known = Pool(TYPE, [Worker(name=name) for name in names])
    first = chosen(known)
    for _ in range(5):
        known.note(first, 0.0, BUCKET)
        assert chosen(known) == first
    # The call before was still under way at its last report; or one of somebody else is, behind which another waits.
    for queued, stays in ((0, True), (1, False)):
        keys = frozenset({BUCKET})
        known = Pool(
            TYPE,
            [
                Worker(name=name, busy=1, queued=queued, keys=keys) if name == first else Worker(name=name)
                for name in names
            ],
        )
        assert (chosen(known) == first) is stays


def test_of_two_homes_the_one_with_less_to_do_is_taken() -> None:
    first = order()
    known = pool(first[0], **{first[0]: 2})
    known.note(first[2], 0.0, BUCKET)
    assert chosen(known) == first[2]


def test_workers_tell_of_the_keys_they_had_last() -> None:
    keys = RecentKeys()
    for number in range(RECENT + 1):
        keys.note(f"k{number}")
        keys.note("k0")
    told = worker_of("w", 0, LoadReport(slots=1, busy=0, held=0, keys=keys.written()).written())
    assert told is not None
    assert told.keys == {bucket_of(f"k{number}") for number in range(RECENT + 1) if number != 1}
    assert read_keys("") == frozenset()
    with pytest.raises(ValueError, match="names no keys"):
        read_keys("AAA=="[:3])


def test_conversations_find_their_cache_and_wait_no_longer_than_under_least_loaded() -> None:
    rng, block, requests = random.Random(5), 0, list[dict[str, object]]()
    for _ in range(250):
        at_s, blocks = rng.random() * 500, [0]
        for _ in range(rng.randint(1, 8)):
            new = rng.randint(2, 12)
            blocks = [*blocks, *range(block + 1, block + 1 + new)]
            block += new
            tokens = {"input_length": len(blocks) * BLOCK_TOKENS, "output_length": rng.randint(10, 600)}
            requests.append({"timestamp": at_s * 1000, "hash_ids": blocks, **tokens})
            at_s += rng.expovariate(1 / 30)
    requests.sort(key=lambda request: request["timestamp"])  # type: ignore[arg-type,return-value]
    # A miss costs more here than the prompts of real chats: they are longer, and the answers shorter.
    options = argparse.Namespace(slots=4, cache_blocks=2_000, callers=2, miss_cost=0.4, keep_per_slot=0.6, seed=1)
    row = compared(4, options, requests)
    assert row["hits_to_perfect"] >= 0.95, json.dumps(row)
    assert row["wait_p99_to_least_loaded"] <= 1.2, json.dumps(row)
    assert row["found"]["least loaded"]["hits"] < 0.6 * row["found"]["affinity"]["hits"]
