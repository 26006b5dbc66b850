"""Names of keys: as kombu's where others read them, under the queue's tag everywhere else."""

import pytest
from kombu.transport.redis import Channel
from redis.crc import key_slot

from hive.store.keys import KOMBU_SEPARATOR, KOMBU_STEPS, Layout


def test_ready_lists_are_named_as_kombu_names_them() -> None:
    assert Channel.sep == KOMBU_SEPARATOR
    assert list(KOMBU_STEPS) == Channel.priority_steps
    layout = Layout(prefix="app.")
    assert layout.queue("q").ready == ("app.q", "app.q\x06\x163", "app.q\x06\x166", "app.q\x06\x169")


@pytest.mark.parametrize(
    ("priority", "step"), [(-1, 0), (0, 0), (2, 0), (3, 1), (5, 1), (6, 2), (8, 2), (9, 3), (255, 3)]
)
def test_priorities_fall_on_the_step_below(priority: int, step: int) -> None:
    assert Layout().step(priority) == step


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("agent.reviewer", "{agent.reviewer}:hive:"),
        ("{team}.a", "{team}.a:hive:"),
        ("x{}y", "{x{}y}:hive:"),
    ],
)
def test_other_keys_carry_the_queues_tag(name: str, base: str) -> None:
    names = Layout(prefix="p-").queue(name)
    assert names.key("dead", "records") == f"p-{base}dead:records"
    keys = [*names.keys("state", "wake"), *names.of_consumer("c1")]
    assert len({key_slot(key.encode()) for key in keys}) == 1
    if "{}" not in name:
        assert key_slot(names.key("state").encode()) == key_slot(("p-" + name).encode()) or name == "agent.reviewer"


def test_queues_with_the_same_tag_do_not_share_keys() -> None:
    layout = Layout()
    assert layout.queue("{t}a").key("state") != layout.queue("{t}b").key("state")
