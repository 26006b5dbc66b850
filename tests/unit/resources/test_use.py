"""What a task used, made of looks."""

import pytest

from hive.resources.families import FamilyUse
from hive.resources.use import WAITING_USES, Running, UseLog

ONE, TWO = Running(id="1", agent_type="reviewer"), Running(id="2", agent_type="tester")


def use(memory_mb: int, cpu_s: float) -> dict[int, FamilyUse]:
    return {7: FamilyUse(pids=(7,), memory_bytes=memory_mb << 20, cpu_s=cpu_s)}


def test_a_task_counts_from_the_look_before_it_to_the_one_after_it() -> None:
    log = UseLog(0.2)
    log.see(9.0, {}, use(50, 3.0))
    log.see(10.2, {7: ONE}, use(80, 3.1))
    log.see(10.4, {7: ONE}, use(300, 3.2))
    log.see(10.6, {7: TWO}, use(90, 3.5))
    (name, found), *others = log.take_finished()
    assert (name, found.memory_mb) == ("reviewer", 300)
    assert (found.cpu_s, found.wall_s) == pytest.approx((0.5, 0.6))
    assert others == []
    assert log.take_finished() == []
    assert log.children == use(90, 3.5)


def test_a_child_that_is_killed_ends_its_task() -> None:
    log = UseLog(0.2)
    log.see(1.0, {7: ONE}, use(80, 3.0))
    log.see(1.2, {}, {})
    ((name, found),) = log.take_finished()
    assert (name, found.memory_mb, found.cpu_s) == ("reviewer", 80, 0)


def test_uses_that_nobody_takes_do_not_pile_up() -> None:
    log = UseLog(0.2)
    for number in range(3 * WAITING_USES):
        log.see(float(number + 1), {7: Running(id=str(number), agent_type="t")}, use(1, 1.0))
    assert len(log.take_finished()) == WAITING_USES
