"""Moves of agents on a real server: each happens once, along the drawing, whoever asks and however late."""

import random
import subprocess
import sys
import threading
from collections import Counter
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hive.agents.lifecycle import PASSING, AgentEvent, AgentState, after, overdue
from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.lifecycles import Seen
from tests.conftest import SEED
from tests.support.redis_server import RedisServer

NUMBER = count()
PARTIES = ("worker", "command", "beat")
ROOT = Path(__file__).parents[2]
TERM_MS = 5_000


class LifeMachine(RuleBasedStateMachine):
    """Three processes look at an agent and move it later, by what they saw, while time passes."""

    server: RedisServer

    @initialize()
    def begin(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.store = Store(
            self.server.client(retry=never_repeating()),
            layout=Layout(prefix=f"life{next(NUMBER)}-"),
            settings=DeliverySettings(),
            now_ms=lambda: self.now_ms,
        )
        self.state, self.token, self.until_ms = AgentState.AWAKE, 0, 0
        self.seen: dict[str, Seen] = {party: self.store.agent_seen("a") for party in PARTIES}
        self.running: set[str] = set()

    @rule(party=st.sampled_from(PARTIES))
    def look(self, party: str) -> None:
        self.seen[party] = self.store.agent_seen("a")

    @rule(party=st.sampled_from(PARTIES), event=st.sampled_from(AgentEvent))
    def move(self, party: str, event: AgentEvent) -> None:
        seen = self.seen[party]
        wanted = after(seen.state, event)
        if wanted is None:
            return
        told = self.store.agent_move(
            "a", seen.token, wanted, by=party, term_s=TERM_MS / 1000 if wanted in PASSING else None
        )
        assert told.done == (seen.token == self.token), "exactly who saw the last move may make the next"
        if told.done:
            self._went(wanted)
        self.seen[party] = told

    @rule(party=st.sampled_from(PARTIES))
    def leave_what_is_overdue(self, party: str) -> None:
        assert (self.store.agents_overdue() == ["a"]) == (0 < self.until_ms <= self.now_ms)
        seen = self.seen[party]
        if seen.until_ms and seen.until_ms <= self.now_ms:
            wanted = after(seen.state, overdue(seen.state, seen.strikes))
            assert wanted is not None
            told = self.store.agent_move("a", seen.token, wanted, by=party, failure="died")
            assert told.done == (seen.token == self.token)
            if told.done:
                self._went(wanted)

    @rule(message=st.sampled_from(("m1", "m2")))
    def enter(self, message: str) -> None:
        told = self.store.agent_enter("a", message, "q c 1")
        assert told.done == (self.state is AgentState.AWAKE)
        if told.done:
            self.running.add(message)
            self.token = max(self.token, 1)

    @rule(message=st.sampled_from(("m1", "m2")))
    def leave(self, message: str) -> None:
        self.store.agent_leave("a", [(message, "q c 2")])
        self.running.discard(message)
        assert self.store.agent_leave("a", [(message, "q c 1")]) == len(self.running)

    @rule(passed_ms=st.integers(0, 2 * TERM_MS))
    def wait(self, passed_ms: int) -> None:
        self.now_ms += passed_ms

    def _went(self, state: AgentState) -> None:
        self.state, self.token = state, self.token + 1
        self.until_ms = self.now_ms + TERM_MS if state in PASSING else 0

    @invariant()
    def the_broker_and_the_model_agree(self) -> None:
        if not hasattr(self, "store"):
            return
        seen = self.store.agent_seen("a")
        assert (seen.state, seen.token, seen.until_ms) == (self.state, self.token, self.until_ms)


def test_an_agent_goes_along_the_drawing_and_stale_moves_are_refused(redis_server: RedisServer) -> None:
    machine = type("OnServer", (LifeMachine,), {"server": redis_server})
    run_state_machine_as_test(
        seed(SEED)(machine),
        settings=settings(
            max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def wander(url: str, prefix: str, number: int, moves: int) -> list[str]:
    """Move an agent at random; return the moves that were made, as ``token state``."""
    import redis

    client = redis.Redis.from_url(url, retry=never_repeating())
    store = Store(client, layout=Layout(prefix=prefix), settings=DeliverySettings())
    source, made = random.Random(number), []
    while len(made) < moves:
        seen = store.agent_seen("a")
        for event in source.sample(list(AgentEvent), len(AgentEvent)):
            wanted = after(seen.state, event)
            if wanted is not None:
                told = store.agent_move("a", seen.token, wanted, by=str(number))
                made += [f"{told.token} {wanted}"] if told.done else []
                break
    client.close()
    return made


def test_processes_and_threads_that_move_one_agent_together_make_one_history(own_redis: RedisServer) -> None:
    code = "from tests.property.test_agents import wander; print(*wander({!r}, 'p', {}, 60), sep='\\n')"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code.format(own_redis.url, SEED + number)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda number=number: made.extend(wander(own_redis.url, "p", SEED - number, 60)))
        for number in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for process in processes:
        made += process.communicate(timeout=200)[0].split("\n")[:-1]
        assert process.returncode == 0
    history = sorted((int(token), AgentState(state)) for token, state in (line.split() for line in made))
    assert [token for token, _ in history] == list(range(1, 241)), "each move was made once, and none was lost"
    steps = Counter(
        zip([AgentState.AWAKE, *(state for _, state in history)], [state for _, state in history], strict=False)
    )
    legal = {(before, after(before, event)) for before in AgentState for event in AgentEvent}
    assert set(steps) <= legal
