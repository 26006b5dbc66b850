"""What checkpoints promise, on SQLite and on PostgreSQL, with a real broker beside."""

import asyncio
import base64
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from hive.checkpoints import Damage, Kind, Source, StateSchema
from hive.database.checkpoints import DatabaseError
from hive.errors import (
    CheckpointDamagedError,
    CheckpointKeyError,
    CheckpointSchemaError,
    InputError,
    SettingsError,
    StaleCheckpointError,
)
from hive.testing import ManualClock
from tests.support.checkpoint_sides import Sides, broker_store
from tests.support.redis_server import RedisServer


def key(name: str) -> str:
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


class Memory(BaseModel):
    facts: list[str]


STATES: list[Any] = [
    b"",
    b"\x00\xff" * 1000,
    None,
    {"text": "ä\u2028\ud7ff😀", "list": [1, -2.5, 1e300, True, None, {}], "big": 2**70, "": ""},
    [],
    "x" * 100_000,
]


def test_a_state_comes_back_as_it_was_from_either_side(sides: Sides) -> None:
    for place, state in enumerate(STATES):
        agent = f"agent-{place} {{}} 'ä"
        written = sides.open().write(agent, state, kind=Kind.PRE_SLEEP, label="before")
        assert (written.generation, written.kind, written.state, written.is_cached) == (1, Kind.PRE_SLEEP, state, True)
        near = sides.open().read(agent)
        assert near is not None
        assert (near.state, near.source, near.is_newest, near.damaged) == (state, Source.CACHE, True, ())
        sides.empty_broker()
        far = sides.open().read(agent)
        assert far is not None
        assert (far.state, far.source, far.is_newest, far.label) == (state, Source.DATABASE, True, "before")
        again = sides.open().read(agent)
        assert again is not None
        assert again.source is Source.CACHE, "a read brings it back to the broker"
    model = sides.open().write("model", Memory(facts=["one"]))
    assert model.generation == 1
    found = sides.open().read("model")
    assert found is not None
    assert Memory.model_validate(found.state) == Memory(facts=["one"])


def test_what_nobody_wrote_is_none_and_makes_no_file(sides: Sides, tmp_path: Path) -> None:
    store = sides.open()
    assert (store.read("nobody"), store.read("nobody", generation=1), store.read("nobody", label="x")) == (None,) * 3
    assert (store.list("nobody").checkpoints, store.list("nobody").damaged) == ((), ())
    assert list(store.agents()) == []
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("state", [{1, 2}, object(), {"x": b"bytes"}, "\ud800", [threading.Lock()]])
def test_what_is_no_json_is_refused_before_anything_is_written(sides: Sides, state: object) -> None:
    with pytest.raises(InputError):
        sides.open().write("a", state)
    with pytest.raises(InputError):
        sides.open().write("a" * 1025, b"")
    assert sides.open().read("a") is None


def test_generations_grow_and_old_ones_are_found(sides: Sides) -> None:
    store = sides.open(keep_count=3)
    for number in range(1, 6):
        assert store.write("a", {"n": number}, label=f"step {number % 2}").generation == number
    assert [one.generation for one in store.list("a").checkpoints] == [5, 4, 3]
    assert store.read("a", generation=2) is None
    older = store.read("a", generation=4)
    assert older is not None
    assert (older.state, older.is_newest, older.newest_generation) == ({"n": 4}, False, 5)
    labelled = store.read("a", label="step 1")
    assert labelled is not None
    assert labelled.generation == 5
    assert store.read("a", label="step 2") is None
    store.write("b", b"")
    assert (list(store.agents()), list(store.agents("b"))) == (["a", "b"], ["b"])


def test_an_older_token_is_refused_by_everybody_for_ever(sides: Sides) -> None:
    sides.open().write("a", b"old", fencing_token=5)
    sides.open().write("a", b"new", fencing_token=9)
    sides.open().write("a", b"new", fencing_token=9)
    for cached in (True, False):
        with pytest.raises(StaleCheckpointError, match=r"token 5 is older than 9") as refused:
            sides.open(cached=cached).write("a", b"late", fencing_token=5)
        assert (refused.value.token, refused.value.newest_token) == (5, 9)
    # An operator has no token; he does not make room for an old one, nor does forgetting.
    sides.open().write("a", b"by hand")
    sides.open().forget("a")
    sides.empty_broker()
    with pytest.raises(StaleCheckpointError):
        sides.open().write("a", b"late", fencing_token=5)
    assert sides.open().write("a", b"next", fencing_token=10).generation == 6
    found = sides.open().read("a")
    assert found is not None
    assert found.state == b"next"


def test_many_writers_get_a_generation_each(sides: Sides) -> None:
    store, other, taken = sides.open(keep_count=1000), sides.open(keep_count=1000), list[int]()

    def write(which: int) -> None:
        mine = (store, other)[which % 2]
        taken.extend(mine.write("a", [which, number]).generation for number in range(15))

    threads = [threading.Thread(target=write, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 61))
    newest = store.read("a")
    assert newest is not None
    assert newest.generation == 60
    assert len(store.list("a").checkpoints) == 60


def test_the_broker_never_hides_what_is_newer_in_the_database(sides: Sides) -> None:
    sides.open().write("a", b"first")
    # Written while the broker was away, or by a process that died before it told the broker.
    sides.open(cached=False).write("a", b"second")
    found = sides.open().read("a")
    assert found is not None
    assert (found.state, found.source, found.is_newest, found.damaged) == (b"second", Source.DATABASE, True, ())


def test_a_forgotten_agent_is_gone_on_both_sides(sides: Sides) -> None:
    store = sides.open()
    store.write("a", b"1")
    store.write("a", b"2")
    assert (store.forget("a"), store.forget("a"), store.forget("nobody")) == (2, 0, 0)
    assert (store.read("a"), sides.open(cached=False).read("a"), list(store.agents())) == (None, None, [])
    assert store.write("a", b"3").generation == 4
    # The process that forgets may die before the broker hears of it.
    sides.open(cached=False).forget("a")
    assert sides.open().read("a") is None


def test_prune_keeps_three_of_each_and_what_is_young(sides: Sides) -> None:
    clock = ManualClock()
    store = sides.open(clock=clock, keep_s=100, keep_count=10)
    for number in range(6):
        store.write("old", [number])
        store.write("mixed", [number])
    store.write("forgotten", b"")
    store.forget("forgotten")
    clock.advance(200)
    for number in range(5):
        store.write("mixed", [number])
    # Three of the six old ones; of the other, whose write has removed one beyond ten, all five that are old.
    assert (store.prune(lambda: True), store.prune(), store.prune()) == (0, 8, 0)
    assert [one.generation for one in store.list("old").checkpoints] == [6, 5, 4]
    assert [one.generation for one in store.list("mixed").checkpoints] == [11, 10, 9, 8, 7]
    sides.empty_broker()
    assert store.database.head("forgotten") is None


def test_what_is_pinned_stays_until_its_agent_is_forgotten(sides: Sides) -> None:
    clock = ManualClock()
    store = sides.open(clock=clock, keep_s=100, keep_count=3)
    for number in range(5):
        store.write("a", [number], pinned=True)
    for number in range(5):
        store.write("a", [number])
    clock.advance(200)
    assert store.prune() == 0
    assert [one.generation for one in store.list("a").checkpoints] == [10, 9, 8, 5, 4, 3, 2, 1]
    assert store.forget("a") == 8


def test_states_of_an_older_schema_are_upgraded_and_newer_ones_refused(sides: Sides) -> None:
    sides.open().write("a", ["x"])
    second = StateSchema(version=3, upgrades={1: lambda old: {"messages": old}, 2: lambda old: {**old, "facts": []}})
    for cached in (True, False):
        found = sides.open(schema=second, cached=cached).read("a")
        assert found is not None
        assert (found.state, found.schema_version) == ({"messages": ["x"], "facts": []}, 1)
    sides.open(schema=second).write("a", {"messages": [], "facts": ["y"]})
    with pytest.raises(CheckpointSchemaError, match="schema version 3, and this program knows 2"):
        sides.open().read("a", schema=StateSchema(version=2))
    with pytest.raises(CheckpointSchemaError, match="no upgrade of its state from schema version 3"):
        sides.open().read("a", schema=StateSchema(version=5, upgrades={4: lambda old: old}))
    plain = sides.open().read("a")
    assert plain is not None
    assert (plain.state["facts"], plain.schema_version) == (["y"], 3)
    with pytest.raises(CheckpointSchemaError, match="KeyError"):
        sides.open().read("a", schema=StateSchema(version=4, upgrades={3: lambda old: old["gone"]}))
    with pytest.raises(InputError, match="without gaps"):
        StateSchema(version=3, upgrades={1: lambda old: old})


def test_a_key_hides_the_state_and_keys_are_changed_without_a_stop(sides: Sides) -> None:
    first, second, secret = key("first"), key("second"), b"the secret " * 100
    sides.open().write("plain", secret)
    sides.open(keys=first).write("a", secret)
    stored = sides.open().database.newest("a", 1)[0]
    kept = broker_store(sides.broker_url, sides.prefix).checkpoint("a")[1]
    assert kept is not None
    assert b"secret" not in stored.header + stored.body + kept
    with pytest.raises(CheckpointKeyError, match="HIVE_CHECKPOINTS_KEYS"):
        sides.open().read("a")
    with pytest.raises(CheckpointKeyError, match="'first', which is not in"):
        sides.open(keys=second).read("a")
    with pytest.raises(CheckpointKeyError, match="does not decrypt it"):
        sides.open(keys=key("first")).read("a")
    both = sides.open(keys=f"{second},{first}")
    assert [both.read(name).state for name in ("a", "plain")] == [secret, secret]  # type: ignore[union-attr]
    assert (both.reencrypt(), both.reencrypt()) == (2, 0)
    for name in ("a", "plain"):
        found = sides.open(keys=second).read(name)
        assert found is not None
        assert (found.state, found.key_id, found.is_newest) == (secret, "second", True)
    for wrong in ("nonsense", "id:AAAA", f"{first},{first}", ""):
        with pytest.raises(SettingsError, match=r"checkpoints\.keys"):
            sides.open(keys=wrong)


def test_a_broker_that_is_away_or_full_loses_no_checkpoint(sides: Sides, own_redis: RedisServer) -> None:
    here = Sides.fresh(sides.database_url, own_redis.url)
    store = here.open()
    store.write("a", b"one")
    own_redis.client().config_set("maxmemory", "1")
    full = store.write("a", b"two")
    assert (full.generation, full.is_cached) == (2, False)
    own_redis.client().config_set("maxmemory", "0")
    found = store.read("a")
    assert found is not None
    assert (found.state, found.is_newest) == (b"two", True)
    own_redis.stop(kill=True)
    assert store.write("a", b"three").is_cached is False
    away = store.read("a")
    assert away is not None
    assert (away.state, away.source, away.is_newest) == (b"three", Source.DATABASE, True)
    own_redis.start()
    back = store.read("a")
    assert back is not None
    assert (back.state, back.is_newest, back.damaged) == (b"three", True, ())


def test_what_another_host_wrote_to_its_own_file_is_not_hidden(sides: Sides, tmp_path: Path) -> None:
    """Two hosts with a file each share only the broker: its word on what is the newest counts, and is told of."""
    sides.open().write("a", b"here")
    there = Sides(f"sqlite:///{tmp_path / 'there.sqlite'}", sides.broker_url, sides.prefix)
    assert there.open().write("a", b"there").generation == 2
    found = sides.open().read("a")
    assert found is not None
    assert (found.state, found.generation) == (b"there", 2)
    broker_store(sides.broker_url, sides.prefix).client.delete(
        broker_store(sides.broker_url, sides.prefix)._checkpoint_keys(b"a")[1]
    )
    older = sides.open().read("a")
    assert older is not None
    assert (older.state, older.is_newest, older.newest_generation) == (b"here", False, 2)
    assert [(one.generation, one.reason) for one in older.damaged] == [(2, "it is missing")]


def test_the_newest_valid_of_three_is_read_and_what_is_damaged_is_told(
    sides: Sides, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Damage] = []
    store = sides.open(on_damage=told.append)
    for number in range(1, 5):
        store.write("a", [number] * 1000)
    for generation in (4, 3):
        damage(store, "a", generation)
        sides.empty_broker()
        told.clear()
        found = store.read("a")
        assert found is not None
        assert (found.generation, found.is_newest, found.newest_generation) == (generation - 1, False, 4)
        assert [one.generation for one in found.damaged] == list(range(4, generation - 1, -1))
        assert tuple(told) == found.damaged
        assert f"generation {generation} in the database: its state does not have the digest" in caplog.text
    damage(store, "a", 2)
    sides.empty_broker()
    with pytest.raises(CheckpointDamagedError, match="none of the newest 3"):
        store.read("a")
    with pytest.raises(CheckpointDamagedError, match="generation 3 is damaged"):
        store.read("a", generation=3)
    assert store.read("a", generation=1).state == [1] * 1000  # type: ignore[union-attr]
    # The next write goes on above all of them.
    assert store.write("a", b"new").generation == 5
    fresh = store.read("a")
    assert fresh is not None
    assert (fresh.state, fresh.damaged) == (b"new", ())


def damage(store: Any, agent: str, generation: int) -> None:
    row = store.database.one(agent, generation)
    body = bytes([row.body[0] ^ 1]) + row.body[1:]
    changed = type(row)(**{**{name: getattr(row, name) for name in row.__dataclass_fields__}, "body": body})
    assert store.database.replace(changed, expected_header=row.header)


def test_a_loop_goes_on_while_it_writes_and_reads(sides: Sides) -> None:
    async def both() -> Any:
        store = sides.open()
        await asyncio.gather(*(store.awrite("a", [number], label=f"{number}") for number in range(5)))
        return await store.aread("a")

    assert asyncio.run(both()).generation == 5


def test_a_fork_uses_the_store_of_its_parent(sides: Sides) -> None:
    store = sides.open()
    store.write("a", b"parent")
    child = os.fork()
    if child == 0:
        found = store.read("a")
        store.write("a", b"child")
        os._exit(0 if found is not None and found.state == b"parent" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found = store.read("a")
    assert found is not None
    assert (found.state, found.generation) == (b"child", 2)
    assert store.write("a", b"parent again").generation == 3


def test_an_address_that_leads_nowhere_says_so_without_its_password(redis_server: RedisServer) -> None:
    lost = Sides.fresh("postgresql://hive:secret@127.0.0.1:1/state?password=secret", redis_server.url).open()
    assert lost.place == "postgresql://hive@127.0.0.1:1/state"
    for call in (lambda: lost.write("a", b""), lambda: lost.read("a")):
        with pytest.raises(DatabaseError) as failed:
            call()
        assert "secret" not in str(failed.value)
    with pytest.raises(SettingsError, match="mysql"):
        Sides.fresh("mysql://host/state", redis_server.url).open()
