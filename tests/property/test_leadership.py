"""Leadership on a real server against a naive record: one holder at a time, terms that grow, stale writes refused."""

import threading
import uuid
from itertools import count

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hive.errors import InputError
from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.leadership import Leadership, Term
from tests.conftest import SEED
from tests.support.redis_server import RedisServer

NUMBER = count()
HOLD_MS = 3_000
HOLDERS = ("a", "b", "c")
holders = st.sampled_from(HOLDERS)


class LeadershipMachine(RuleBasedStateMachine):
    """Three processes ask, resign, write and sleep, while time passes, is set, and the server is another."""

    server: RedisServer

    @initialize()
    def begin(self) -> None:
        self.now_ms, self.run_id = 1_700_000_000_000, "first"
        store = Store(
            self.server.client(retry=never_repeating()),
            layout=Layout(prefix=f"lead{next(NUMBER)}-"),
            settings=DeliverySettings(),
            now_ms=lambda: self.now_ms,
            run_id=lambda: self.run_id,
        )
        self.parts = {name: Leadership(store, "beat", name, HOLD_MS / 1000) for name in HOLDERS}
        #: Who led last, since when nobody else may have, and until when.
        self.leader: str | None = None
        self.until_ms = 0
        self.term_run_id = ""
        self.terms: list[Term] = []
        self.last_of: dict[str, Term] = {}
        self.written: bytes | None = None

    @rule(name=holders)
    def campaign(self, name: str) -> None:
        self.until_ms = min(self.until_ms, self.now_ms + HOLD_MS)
        is_free = self.leader in (None, name) or self.until_ms <= self.now_ms
        term = self.parts[name].campaign()
        assert (term is not None) == is_free
        if term is None:
            return
        is_same = self.leader == name and self.term_run_id == self.run_id
        if is_same:
            assert term.number == self.terms[-1].number
        else:
            assert all(term.number > earlier.number for earlier in self.terms)
            self.terms.append(term)
        assert (term.holder, term.left_s, term.now_ms) == (name, HOLD_MS / 1000, self.now_ms)
        self.leader, self.until_ms, self.term_run_id = name, self.now_ms + HOLD_MS, self.run_id
        self.last_of[name] = term

    @rule(name=holders)
    def resign(self, name: str) -> None:
        assert self.parts[name].resign() == (self.leader == name)
        if self.leader == name:
            self.leader = None

    @rule(name=holders, value=st.binary(max_size=4))
    def write(self, name: str, value: bytes) -> None:
        if name in self.last_of:
            term = self.last_of[name]
            is_current = self.leader == name and term.number == self.terms[-1].number
            assert self.parts[name].note(term, {"last": value}) == is_current
            # An empty note is forgotten.
            self.written = (value or None) if is_current else self.written

    @rule(passed_ms=st.sampled_from([1, HOLD_MS // 3, HOLD_MS - 1, HOLD_MS, 10 * HOLD_MS]))
    def time_passes(self, passed_ms: int) -> None:
        self.now_ms += passed_ms

    @rule(back_ms=st.sampled_from([1, HOLD_MS, 86_400_000]))
    def clock_is_set_back(self, back_ms: int) -> None:
        self.now_ms -= back_ms

    @rule()
    def broker_is_another(self) -> None:
        self.run_id = uuid.uuid4().hex

    @invariant()
    def all_see_the_same_leader(self) -> None:
        if not hasattr(self, "parts"):
            return
        left_ms = min(self.until_ms - self.now_ms, HOLD_MS)
        leads = self.leader is not None and left_ms > 0
        for part in self.parts.values():
            current = part.current()
            assert (current is not None) == leads
            if current is not None:
                assert (current.holder, current.number) == (self.leader, self.terms[-1].number)
                assert current.left_s == left_ms / 1000
            assert part.notes().get("last") == self.written


@settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
class SeededMachine(LeadershipMachine):
    """The machine with the profile of this suite."""


def test_one_leads_at_a_time_and_terms_grow(redis_server: RedisServer) -> None:
    SeededMachine.server = redis_server
    run_state_machine_as_test(seed(SEED)(SeededMachine), settings=SeededMachine.TestCase.settings)


def test_of_many_that_ask_at_once_one_leads(redis_server: RedisServer) -> None:
    layout, lock = Layout(prefix=f"lead{next(NUMBER)}-"), threading.Lock()
    inside: list[str] = []
    crowded: list[tuple[str, ...]] = []
    terms: list[int] = []

    def compete(name: str) -> None:
        store = Store(redis_server.client(retry=never_repeating()), layout=layout, settings=DeliverySettings())
        leadership = Leadership(store, "beat", name, hold_s=60)
        for _ in range(200):
            term = leadership.campaign()
            if term is not None:
                with lock:
                    inside.append(name)
                    terms.append(term.number)
                with lock:
                    crowded.extend([tuple(inside)] if len(inside) > 1 else [])
                    inside.remove(name)
                leadership.resign()

    threads = [threading.Thread(target=compete, args=(f"p{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert crowded == []
    assert len(terms) > 1
    assert terms == sorted(set(terms))


def test_what_cannot_be_meant_is_refused(redis_server: RedisServer) -> None:
    store = Store(redis_server.client(retry=never_repeating()), layout=Layout(), settings=DeliverySettings())
    with pytest.raises(InputError, match="at least a millisecond"):
        Leadership(store, "beat", "a", hold_s=0.0001)
    leadership = Leadership(store, f"beat{uuid.uuid4().hex}", "a", hold_s=1)
    term = leadership.campaign()
    assert term is not None
    with pytest.raises(InputError, match="no notes"):
        leadership.note(term, {})
