"""Firings on a real server against a naive record: each due time once, under the current term, whoever asks and however often."""

from itertools import count

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.beat_entries import BEAT, BeatEntries, Fired, Firing, fire
from hive.store.leadership import Leadership, Term
from hive.store.values import Outgoing
from tests.conftest import SEED
from tests.support.redis_server import RedisServer

NUMBER = count()
HOLD_MS = 3_000
beats, entries = st.sampled_from(("a", "b", "c")), st.sampled_from(("daily", "often"))
ahead = st.sampled_from((-1, 0, 1, 2, 5))


class FiringMachine(RuleBasedStateMachine):
    """Beats that believe in themselves, old terms in hand, and operators who change what they send."""

    server: RedisServer

    @initialize()
    def begin(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.store = Store(
            self.server.client(retry=never_repeating()),
            layout=Layout(prefix=f"fire{next(NUMBER)}-"),
            settings=DeliverySettings(),
            now_ms=lambda: self.now_ms,
            run_id=lambda: "one",
        )
        self.entries = BeatEntries(self.store)
        self.beats = {name: Leadership(self.store, BEAT, name, HOLD_MS / 1000) for name in ("a", "b", "c")}
        self.terms: dict[str, Term] = {}
        self.leader: Term | None = None
        #: By entry: the last due time that is over, and whether it is paused.
        self.fired: dict[str, int] = {}
        self.paused: set[str] = set()
        self.sent: list[str] = []
        self.campaign("a", 0)
        self.put("daily")

    @rule(name=beats, passed_ms=st.sampled_from([0, HOLD_MS]))
    def campaign(self, name: str, passed_ms: int) -> None:
        self.now_ms += passed_ms
        term = self.beats[name].campaign()
        if term is not None:
            self.terms[name] = self.leader = term

    @rule(entry=entries, ahead_ms=ahead, left_out=st.integers(0, 2), is_sent=st.booleans())
    def fire_as_leader(self, entry: str, ahead_ms: int, left_out: int, is_sent: bool) -> None:
        if self.leader is not None:
            self._fire(self.leader, entry, ahead_ms, left_out, is_sent)

    @rule(name=beats, entry=entries, ahead_ms=ahead, is_sent=st.booleans())
    def fire_with_a_term_in_hand(self, name: str, entry: str, ahead_ms: int, is_sent: bool) -> None:
        if name in self.terms:
            self._fire(self.terms[name], entry, ahead_ms, 0, is_sent)

    def _fire(self, held: Term, entry: str, ahead_ms: int, left_out: int, is_sent: bool) -> None:
        due_ms, term = self.fired.get(entry, self.now_ms) + ahead_ms, held.number
        firing = Firing(entry=entry, due_ms=due_ms, term=term, left_out=left_out)
        if self.leader is None or term != self.leader.number:
            expected = Fired.STALE
        elif entry not in self.fired or (is_sent and entry in self.paused):
            expected = Fired.GONE
        else:
            expected = Fired.REPEAT if ahead_ms <= 0 else Fired.SENT
        text = f"{entry} {due_ms}"
        message = Outgoing(queue="q", payload=text.encode(), message_id=text)
        for _ in range(2):
            assert (fire(self.store, firing, message) if is_sent else self.entries.skip(firing)) is expected
            expected = Fired.REPEAT if expected is Fired.SENT else expected
        if expected is Fired.REPEAT and ahead_ms > 0:
            self.fired[entry] = due_ms
            self.sent += [text] if is_sent else []

    @rule(name=beats)
    def resign(self, name: str) -> None:
        if self.beats[name].resign():
            self.leader = None

    @rule(entry=entries)
    def put(self, entry: str) -> None:
        assert self.entries.put({entry: b"{}"})
        self.fired.setdefault(entry, self.now_ms)

    @rule(entry=entries, paused=st.booleans())
    def pause(self, entry: str, paused: bool) -> None:
        assert self.entries.pause(entry, paused=paused) == (entry in self.fired)
        if entry in self.fired and paused:
            self.paused.add(entry)
        elif entry in self.paused:
            self.paused.remove(entry)
            self.fired[entry] = max(self.fired[entry], self.now_ms)

    @rule(entry=entries)
    def remove(self, entry: str) -> None:
        self.now_ms += 10
        assert self.entries.remove([entry]) == (entry in self.fired)
        self.fired.pop(entry, None)
        self.paused.discard(entry)

    @invariant()
    def the_broker_has_what_was_sent(self) -> None:
        if not hasattr(self, "store"):
            return
        waiting = [raw.decode() for raw in reversed(self.store.client.lrange(f"{self.store.layout.prefix}q", 0, -1))]
        assert waiting == self.sent
        assert len(set(waiting)) == len(waiting)
        records = self.entries.read().records
        assert {name: (one.fired_ms, one.is_paused) for name, one in records.items()} == {
            name: (fired_ms, name in self.paused) for name, fired_ms in self.fired.items()
        }


@settings(max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck))
class SeededMachine(FiringMachine):
    """The machine with the profile of this suite."""


def test_a_due_time_is_sent_once(redis_server: RedisServer) -> None:
    SeededMachine.server = redis_server
    run_state_machine_as_test(seed(SEED)(SeededMachine), settings=SeededMachine.TestCase.settings)
