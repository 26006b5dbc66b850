"""Connections between calls: a few are kept, and a forked child leaves its parent's alone."""

import os

from hive.database.idle_connections import KEPT_COUNT, IdleConnections


class Connection:
    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_a_few_are_kept_and_the_others_closed() -> None:
    idle: IdleConnections[Connection] = IdleConnections()
    given = [Connection() for _ in range(KEPT_COUNT + 1)]
    for one in given:
        idle.give_back(one)
    assert [one.is_closed for one in given] == [False] * KEPT_COUNT + [True]
    assert idle.take() is given[KEPT_COUNT - 1]
    idle.close()
    assert idle.take() is None
    assert [one.is_closed for one in given].count(True) == KEPT_COUNT, "who has taken one closes it"


def test_a_forked_child_neither_takes_nor_closes_what_it_inherited() -> None:
    idle: IdleConnections[Connection] = IdleConnections()
    inherited = Connection()
    idle.give_back(inherited)
    child = os.fork()
    if child == 0:
        idle.close()
        has_begun = idle.leave_to_parent() and not idle.leave_to_parent()
        idle.close()
        os._exit(0 if has_begun and idle.take() is None and not inherited.is_closed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert idle.take() is inherited
