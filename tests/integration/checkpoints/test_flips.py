"""Random bytes are flipped in rows of SQLite and on the broker; what is older is never returned without a word."""

import random
from pathlib import Path

import pytest

from hive.database.checkpoints import DatabaseError
from hive.errors import CheckpointDamagedError, StaleCheckpointError
from tests.conftest import SEED
from tests.support.checkpoint_faults import (
    AGENT,
    damage_broker,
    damage_file,
    damage_sqlite,
    judged_after_damage,
    state_of,
)
from tests.support.checkpoint_sides import Sides
from tests.support.redis_server import RedisServer

ROUNDS = 60


@pytest.mark.slow
def test_flips_anywhere_are_found_and_a_valid_generation_comes_back(tmp_path: Path, redis_server: RedisServer) -> None:
    rng = random.Random(SEED)
    path = tmp_path / "checkpoints.sqlite"
    seen = {"older": 0, "newest": 0, "told": 0}
    for number in range(ROUNDS):
        sides = Sides.fresh(f"sqlite:///{path}", redis_server.url)
        path.unlink(missing_ok=True)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        store = sides.open()
        newest = 0
        for generation in range(1, 4):
            newest = store.write(AGENT, state_of(number, generation), fencing_token=generation).generation
        store.close()
        how = rng.randrange(3)
        places = [damage_broker(sides, rng)] if how in {0, 2} else []
        if how in {1, 2}:
            places.append(damage_sqlite(path, rng))
        if rng.random() < 0.5:
            sides.empty_broker()
        try:
            found = judged_after_damage(sides.open(), newest)
            seen["newest" if found.is_newest else "older"] += 1
            seen["told"] += bool(found.damaged)
            # The next write is above all that was seen, and is read back without a word.
            after = sides.open()
            assert after.write(AGENT, state_of(number, 9), fencing_token=4).generation > newest
            again = after.read(AGENT)
            assert again is not None
            assert (again.state, again.is_newest, again.damaged) == (state_of(number, 9), True, ())
            with pytest.raises(StaleCheckpointError):
                after.write(AGENT, b"", fencing_token=3)
        except Exception as error:
            error.add_note(f"seed {SEED}, round {number}, damaged: {places}")
            raise
    assert min(seen.values()) > 0, seen


@pytest.mark.slow
def test_flips_in_the_file_itself_never_give_an_older_state_without_a_word(tmp_path: Path) -> None:
    """SQLite may not be able to read the file any more; that is an error then, and no empty answer."""
    rng = random.Random(SEED)
    seen = {"read": 0, "refused": 0}
    for number in range(ROUNDS):
        path = tmp_path / f"{number}.sqlite"
        store = Sides.fresh(f"sqlite:///{path}", "").open(cached=False)
        newest = 0
        for generation in range(1, 4):
            newest = store.write(AGENT, state_of(1, generation)).generation
        store.close()
        where = damage_file(path, rng)
        damaged = Sides.fresh(f"sqlite:///{path}", "").open(cached=False)
        try:
            judged_after_damage(damaged, newest)
            seen["read"] += 1
        except (DatabaseError, CheckpointDamagedError):
            seen["refused"] += 1
        except Exception as error:
            error.add_note(f"seed {SEED}, round {number}, {where}")
            raise
        damaged.close()
    assert min(seen.values()) > 0, seen
