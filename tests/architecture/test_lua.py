"""The Lua scripts: what their headers say is what Python hands in; small, bounded, every key declared."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hive.store
from hive.agents.lifecycle import AgentState
from hive.agents.sleep_policy import SleepPolicy
from hive.resilience.breaker import BreakerState, CallOutcome
from hive.resilience.budget import RetryBudget
from hive.settings.parts import BreakerSettings, DeliverySettings
from hive.store.beat_entries import BeatEntries, Firing, fire
from hive.store.booking import AMOUNTS
from hive.store.breakers import CallCounts
from hive.store.checkpoints import KeptHead
from hive.store.condemned import Condemned
from hive.store.guard import Bound, Guard
from hive.store.keys import Layout
from hive.store.leadership import Leadership, Term
from hive.store.limiting import Wanted
from hive.store.run_values import Place
from hive.store.scripts import INCLUDE, load
from hive.store.store import Store
from hive.store.turn import Fair
from hive.store.values import ConsumerInfo, DeadLetter, DeliveryId, Outgoing, Source, Start, StoredResult

FOLDER = Path(str(hive.store.__file__)).parent / "lua"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.lua"))
PARTS = sorted(path.stem for path in (FOLDER / "parts").glob("*.lua"))
TYPES = ("LIST", "HASH", "ZSET", "SET", "STRING", "any")
MAY_REFUSE_WHEN_FULL = {
    "beat_fire",
    "publish",
    "publish_fair",
    "publish_guarded",
    "publish_lane",
    "schedule",
    "dead_import",
    "keep_answer",
    "keep_checkpoint",
    "agent_policy",
    "signal_agent",
    "signal_run",
}
STEPS = len(Layout().priority_steps)

INFO = ConsumerInfo(node="n", pid=1, version="0", started_ms=0)
RULES = BreakerSettings()
ID = DeliveryId(queue="q", token=1)
MESSAGE = Outgoing(queue="q", payload=b"p", message_id="m")
IN_TURN = Outgoing(queue="q", payload=b"p", message_id="m", fair=Fair("k"))
IN_LANE = Outgoing(queue="q", payload=b"p", message_id="m", lane="w")
LATER = Outgoing(queue="q", payload=b"p", message_id="m", due_ms=1)
GUARDED = Outgoing(queue="q", payload=b"p", message_id="m", guard=Guard(bound=Bound(max_length=1)))
LETTER = DeadLetter(
    id="1",
    queue="q",
    priority=0,
    message_id="m",
    reason="r",
    cause="c",
    at_ms=1,
    history=(),
    payload=b"p",
    record=b"{}",
)
BOOKED = dict.fromkeys(AMOUNTS, 1)
WINDOW = Wanted(name="requests:1000:k", most=1, window_ms=1_000)
TERM = Term(name="n", holder="h", number=1, left_s=1, now_ms=1)
FIRING = Firing(entry="e", due_ms=1, term=1)
KEPT = KeptHead(agent=b"a", generation=b"1", fencing_token=b"1", is_forgotten=b"0", seal=b"s")
RESULT = StoredResult(key="r", value=b"v", ttl_ms=1)
PLACE = Place(task_id="t", queue="q", message_id="m", field="f", event="e")

# How each script is called, and how many keys its header promises then: (fixed, for each of the two queues or lists).
CALLS: dict[str, tuple[Callable[[Store], object], int]] = {
    "breaker_force": (lambda store: store.breaker_force("b", BreakerState.OPEN), 4),
    "breaker_probe": (lambda store: store.breaker_probe("b", RULES, "t"), 3),
    "breaker_read": (lambda store: store.breaker("b"), 3),
    "breaker_report": (lambda store: store.breaker_report("b", RULES, CallCounts()), 4),
    "breaker_settle": (lambda store: store.breaker_settle("b", RULES, "t", CallOutcome.FAILED), 3),
    "agent_enter": (lambda store: store.agent_enter("a", "m", "q c 1"), 4),
    "agent_leave": (lambda store: store.agent_leave("a", [("m", "q c 1")]), 2),
    "agent_move": (lambda store: store.agent_move("a", 1, AgentState.SLEEPING, by="t"), 3),
    "agent_park": (lambda store: store.agent_park("c", ID, "m", "a", token=1, due_ms=None), 10),
    "agent_policy": (lambda store: store.agent_policy("a", SleepPolicy()), 2),
    "answer": (lambda store: store.answer("task:same"), 1),
    "keep_answer": (lambda store: store.keep_answer("task:same", b"a", ttl_s=1), 1),
    "keep_checkpoint": (lambda store: store.keep_checkpoint(KEPT, b"", head_s=1, record_s=1), 3),
    "beat_fire": (lambda store: fire(store, FIRING, MESSAGE), 5 + 4 + STEPS),
    "beat_pause": (lambda store: BeatEntries(store).pause("e", paused=True), 4),
    "beat_put": (lambda store: BeatEntries(store).put({"e": b"d"}), 4),
    "beat_remove": (lambda store: BeatEntries(store).remove(["e"]), 6),
    "beat_skip": (lambda store: BeatEntries(store).skip(FIRING), 4),
    "book": (lambda store: store.book("h", "w", BOOKED, BOOKED), 3),
    "report_use": (lambda store: store.report_use("w", b"{}", [("t", "u"), ("s", "u")]), 2 + 2),
    "unbook": (lambda store: store.unbook("h", ["w"]), 3),
    "bind": (lambda store: store.bind(["a", "b"], "m"), 2),
    "cancel_scheduled": (lambda store: store.cancel_scheduled("q", ["m"]), 3),
    "check": (lambda store: store.check("c", ID), 3),
    "publish_lane": (lambda store: store.publish(IN_LANE), 7 + 2 * STEPS),
    "report_load": (lambda store: store.report_load("q", "w", "c", b"{}"), 2 + STEPS),
    "read_lanes": (lambda store: store.lanes("q"), 3),
    "drain_lane": (lambda store: store.drain_lane("q", "w"), 5 + 2 * STEPS),
    "wake_lane": (lambda store: store.wake_lane("q", "w"), 1),
    "claim": (lambda store: store.claim("c", ["q", "r"], sequence=1, credit=1), 2 * (14 + STEPS)),
    "dead_letter": (lambda store: store.dead_letter("c", ID, reason="r", cause="c"), 10),
    "dead_letter_with_result": (
        lambda store: store.set_aside_with_result("c", Condemned(id=ID, reason="r", cause="c"), RESULT),
        11,
    ),
    "dead_arrivals": (lambda store: store.dead_arrivals("q"), 4),
    "dead_told": (lambda store: store.dead_told("q", ["1"]), 1),
    "dead_edit": (lambda store: store.dead_edit(LETTER, b"new"), 3),
    "dead_import": (lambda store: store.dead_import("q", [LETTER]), 4),
    "dead_read": (lambda store: list(store.dead_read("q", ["1"])), 2),
    "dead_remove": (lambda store: store.dead_remove("q", ["1"], "purged"), 4),
    "delete_queue": (lambda store: store.delete_queue("q"), 11),
    "end_run": (lambda store: store.end_run("t"), 1),
    "follow": (lambda store: store.follow(Source(consumer="c", delivery=ID, message_id="m"), LATER), 12),
    "finish": (lambda store: store.finish("c", [ID, DeliveryId(queue="r", token=1)]), 2 * 8),
    "finish_with_result": (lambda store: store.finish_with_result("c", ID, RESULT), 9),
    "lead": (lambda store: Leadership(store, "n", "h", 1).campaign(), 1),
    "lead_note": (lambda store: Leadership(store, "n", "h", 1).note(TERM, {"a": b"b"}), 2),
    "lead_read": (lambda store: Leadership(store, "n", "h", 1).current(), 1),
    "lead_resign": (lambda store: Leadership(store, "n", "h", 1).resign(), 1),
    "limit_release": (lambda store: store.release_places("w", ["a", "b"], 1), 2 * 2),
    "limit_renew": (lambda store: store.renew_places([("w", "a"), ("w", "b")]), 2),
    "limit_reserve": (lambda store: store.reserve_limits("w", [WINDOW, WINDOW]), 1 + 2 * 3),
    "limit_settle": (lambda store: store.settle_limits([(WINDOW, 1, 1)]), 1),
    "park": (lambda store: store.park("c", ID, PLACE), 11),
    "pop": (lambda store: store.pop(["q", "r"]), 2 * STEPS),
    "publish": (lambda store: store.publish(MESSAGE), 4 + STEPS),
    "publish_fair": (lambda store: store.publish(IN_TURN), 9 + STEPS),
    "postpone": (lambda store: store.postpone("c", ID, "m", grace_s=1, look_s=1), 7),
    "publish_guarded": (lambda store: store.publish(GUARDED), 17 + STEPS),
    "free_key": (lambda store: store.free_key("q", "d", "t"), 3),
    "purge": (lambda store: store.purge("q"), 13 + STEPS),
    "reap": (lambda store: store.reap("q", "c"), 15 + STEPS),
    "reconcile": (lambda store: store.reconcile("c", "q", [], 1), 5 + STEPS),
    "read_demand": (lambda store: store.demand(["q", "r"]), 2 * (6 + STEPS)),
    "record_scaling": (lambda store: store.record_scaling("t", "d", term=1, changed=True), 3),
    "redrive": (lambda store: store.redrive("q", ["1"], to="r"), 9 + STEPS),
    "register": (lambda store: store.register("c", ["q"], INFO), 3),
    "reject": (lambda store: store.reject("c", ID, "killed"), 13 + STEPS),
    "release_queue": (lambda store: store.release_queue("q"), 15 + STEPS),
    "renew": (lambda store: store.renew("c", ["q", "r"]), 2 * (12 + STEPS)),
    "requeue": (lambda store: store.requeue("c", [ID]), 8 + STEPS),
    "reschedule": (lambda store: store.reschedule("c", ID, "m", 1), 6),
    "retry": (lambda store: store.retry("c", ID, LATER), 12),
    "retry_advance": (lambda store: store.advance_scheduled("q", [(1, "m")]), 2),
    "retry_budget": (lambda store: store.draw_retry("d", RetryBudget(), 1), 1),
    "retry_learn": (lambda store: store.learn_retry("t", "bug", (0, 1), done=True), 1),
    "retry_park": (lambda store: store.park_retry("d", "m", "n", "q", probe_s=1, hold_s=1, per_s=1), 2),
    "retry_release": (lambda store: store.release_retries("d", 1.0), 2),
    "schedule": (lambda store: store.publish(LATER), 6),
    "start": (lambda store: store.start("c", [Start(id=ID, message_id="m")]), 5),
    "step_begin": (lambda store: store.step_begin("c", ID, "t", "s"), 4),
    "step_end": (lambda store: store.step_end("c", ID, "t", "s", b"r"), 4),
    "tick": (lambda store: store.tick(["q", "r"]), 2 * 4),
    "touch": (lambda store: store.touch({"q": 1, "r": 1}, "c"), 2 * (STEPS + 24 + 3)),
    "unregister": (lambda store: store.unregister("c", ["q"]), 5),
}
# These look at the broker before they are called; their keys are counted in the integration tests.
CALLED_WITH_DATA = {"adopt", "agent_release", "release_consumer", "signal_agent", "signal_run"}


class CalledError(Exception):
    """Ends a call once its keys are known."""


class KeyCounter(Store):
    """A store that goes as far as calling the script it is asked for."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.layout = Layout()
        self.settings = DeliverySettings()
        self._now_ms = self._run_id = None
        self.queue_keys = self.layout.queue

    def call(self, name: str, keys: Any, *arguments: Any) -> Any:
        if name.partition(":")[0] == self.wanted:
            raise CalledError(len(keys), arguments)
        return () if name == "read_lanes" else (0, 0, 0, 0)

    def _release_dead_consumers(self, queue: str) -> tuple[int, int]:
        return 0, 0


def header(name: str) -> dict[str, str]:
    """Return the header's fields: first the guarantee, then KEYS, ARGV, Reply, Cost."""
    lines = (FOLDER / f"{name}.lua").read_text().splitlines()
    fields, current = {"guarantee": ""}, "guarantee"
    for line in lines[1:]:
        if not line.startswith("-- ") and not line.startswith("--   "):
            break
        if found := re.match(r"-- (KEYS|ARGV|Reply|Cost): (.*)", line):
            current = found[1]
            fields[current] = found[2]
        else:
            fields[current] += " " + line[2:].strip()
    return fields


def test_every_script_is_called_and_every_call_has_a_script() -> None:
    assert set(CALLS) | CALLED_WITH_DATA == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_header_says_what_the_script_promises_takes_and_costs(name: str) -> None:
    fields = header(name)
    assert set(fields) == {"guarantee", "KEYS", "ARGV", "Reply", "Cost"}
    assert fields["guarantee"].strip().endswith(".")
    assert any(kind in fields["KEYS"] for kind in TYPES)
    assert fields["Cost"].startswith("O(")
    for quantity in ("now", "lease", "due", "window", "kept"):
        for mention in re.findall(rf"\b{quantity}\b[^,;]*", fields["ARGV"]):
            assert "ms" in mention, f"{mention!r} has no unit"


@pytest.mark.parametrize("name", sorted(CALLS))
def test_python_hands_in_the_declared_keys_and_arguments(name: str) -> None:
    call, count = CALLS[name]
    with pytest.raises(CalledError) as called:
        call(KeyCounter(name))
    keys, arguments = called.value.args
    assert keys == count
    # The highest key and argument that header and body number one by one exist, and the header knows what the body uses.
    text = load(name).text
    for what, given in (("KEYS", keys), ("ARGV", len(arguments))):
        used = {int(number) for number in re.findall(rf"{what}\[(\d+)\]", text)}
        declared = {int(number) for number in re.findall(r"\b(\d+)(?:\.\.)? [\w'<]", header(name)[what])}
        assert max(used, default=0) <= given
        if "for each queue:" not in header(name)[what]:
            assert max(used, default=0) <= max(declared, default=given)


@pytest.mark.parametrize("name", [*SCRIPTS, *(f"parts/{part}" for part in PARTS)])
def test_scripts_are_short_and_loops_are_bounded(name: str) -> None:
    text = (FOLDER / f"{name}.lua").read_text()
    assert len(text.splitlines()) <= 80
    assert not re.search(r"^ *repeat$|while true|redis\.call\('(KEYS|SCAN|EVAL|SMEMBERS|HGETALL)", text, re.MULTILINE)
    for loop in re.findall(r"^ *while (.*) do$", text, re.MULTILINE):
        assert re.search(r"\b(credit|count|left) > 0\b", loop), f"nothing counts down in {loop!r}"


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_what_adds_messages_may_be_refused_by_a_full_broker(name: str) -> None:
    first = (FOLDER / f"{name}.lua").read_text().splitlines()[0]
    assert first == ("#!lua" if name in MAY_REFUSE_WHEN_FULL else "#!lua flags=allow-oom")


@pytest.mark.parametrize("name", [*SCRIPTS, *(f"parts/{part}" for part in PARTS)])
def test_nothing_is_sorted_by_a_function(name: str) -> None:
    # A reap of 20,000 messages held the broker up for 0.6 s, a hundred times over.
    assert not re.search(r"table\.sort\([^)]*,", (FOLDER / f"{name}.lua").read_text())


def test_parts_are_all_used_and_put_in() -> None:
    used = {part for name in SCRIPTS for part in INCLUDE.findall((FOLDER / f"{name}.lua").read_text())}
    assert used == set(PARTS)
    assert not any(INCLUDE.search(load(name).text) for name in SCRIPTS)
