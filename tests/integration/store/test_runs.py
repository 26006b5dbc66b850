"""Steps of a run, parking and signals on a real broker: nothing is done twice, nothing is lost, no slot is held."""

from hive.settings.parts import DeadSettings
from hive.store import Store
from hive.store.run_values import Begun, Place, Signalled
from hive.store.values import ConsumerInfo, Delivery, Outcome, Outgoing, Start
from tests.support.broker_clock import BrokerClock

INFO = ConsumerInfo(node="celery@test", pid=7, version="1.0", started_ms=5)
MESSAGE = Outgoing(queue="q", payload=b"payload", message_id="m", priority=3)
DAY_MS = 86_400_000


def claim(store: Store, consumer: str, sequence: int = 1) -> Delivery | None:
    store.register(consumer, ["q"], INFO)
    found = store.claim(consumer, ["q"], sequence=sequence, credit=9, idle=True).deliveries
    for one in found:
        assert store.start(consumer, [Start(id=one.id, message_id="m")])[0].outcome is Outcome.DONE
    return found[0] if found else None


def begin(store: Store, consumer: str = "c1", sequence: int = 1) -> Delivery:
    delivery = claim(store, consumer, sequence)
    assert delivery is not None
    return delivery


def place(event: str = "", agent: str = "", field: str = "wait") -> Place:
    return Place(task_id="t", queue="q", message_id="m", field=field, event=event, agent=agent)


def test_a_done_step_is_never_begun_again_and_a_begun_one_is_unknown_to_the_next_delivery(store: Store) -> None:
    store.publish(MESSAGE)
    first = begin(store)
    assert store.step_begin("c1", first.id, "t", "a").begun is Begun.BEGINS
    assert store.step_begin("c1", first.id, "t", "a").begun is Begun.BEGINS, "a repeat after a lost reply"
    assert store.step_end("c1", first.id, "t", "a", b"1:2") is Outcome.DONE
    assert store.step_begin("c1", first.id, "t", "b").begun is Begun.BEGINS
    assert store.step_end("c1", first.id, "t", "b", None) is Outcome.DONE, "it failed"
    assert store.step_begin("c1", first.id, "t", "b").unknown_count == 0
    store.reject("c1", first.id, "killed")
    second = begin(store, "c2")
    done = store.step_begin("c2", second.id, "t", "a")
    assert (done.begun, done.result, done.unknown_count) == (Begun.DONE, b"1:2", 0)
    assert store.step_begin("c2", second.id, "t", "b").begun is Begun.UNKNOWN
    again = store.step_begin("c2", second.id, "t", "b", again=True)
    assert (again.begun, again.unknown_count) == (Begun.BEGINS, 1)
    store.step_end("c2", second.id, "t", "b", b"late")
    marks = {step.name: (step.state, step.unknown_count) for step in store.run_steps("t")}
    assert marks == {"a": ("done", 0), "b": ("done", 1)}


def test_a_worker_that_lost_its_lease_changes_nothing_of_a_run(store: Store, clock: BrokerClock) -> None:
    store.publish(MESSAGE)
    stale = begin(store)
    store.step_begin("c1", stale.id, "t", "a")
    store.tick(["q"])
    clock.now_ms += 1_000
    store.reject("c1", stale.id, "killed")
    current = begin(store, "c2")
    assert store.step_begin("c2", current.id, "t", "a", again=True).begun is Begun.BEGINS
    assert store.step_end("c1", stale.id, "t", "a", b"stale") is Outcome.ALREADY
    assert store.step_begin("c1", stale.id, "t", "x").begun is Begun.ALREADY
    assert store.step_end("stranger", stale.id, "t", "a", b"stale") is Outcome.STALE
    assert store.park("c1", stale.id, place()).outcome is Outcome.ALREADY
    assert store.park("stranger", current.id, place()).outcome is Outcome.STALE
    store.step_end("c2", current.id, "t", "a", b"right")
    assert store.step_begin("c2", current.id, "t", "a").result == b"right"


def test_a_parked_run_holds_no_delivery_for_days_and_comes_back_unchanged_and_uncounted(
    store: Store, clock: BrokerClock
) -> None:
    store.publish(MESSAGE)
    delivery = begin(store)
    due_ms = clock.now_ms + 3 * DAY_MS
    parked = store.park("c1", delivery.id, place(), wait_ms=3 * DAY_MS)
    assert (parked.outcome, parked.due_ms) == (Outcome.DONE, due_ms)
    figures = store.stats("q")
    assert (figures.in_flight, figures.started, figures.scheduled, store.parked_count("q")) == (0, 0, 1, 1)
    assert store.finish("c1", [delivery.id]) == (Outcome.ALREADY,), "the worker's acknowledgement comes after"
    clock.now_ms += 3 * DAY_MS - 1
    assert claim(store, "c2") is None
    clock.now_ms += 1
    assert store.parked_count("q") == 1
    again = begin(store, "c2", 2)
    assert (again.payload, again.priority, again.suspect) == (b"payload", 3, False)
    assert store.start("c2", [Start(id=again.id, message_id="m")])[0].deaths == 0
    assert store.parked_count("q") == 0
    # Its time is what was fixed at first, and it is over.
    assert store.park("c2", again.id, place(), wait_ms=3 * DAY_MS).due_ms is None
    assert store.park("c2", again.id, place(), wait_ms=3 * DAY_MS).due_ms is None
    assert store.stats("q").in_flight == 1


def test_a_signal_before_the_wait_is_kept_and_one_after_it_lets_the_run_go_on_once(store: Store) -> None:
    store.publish(MESSAGE)
    delivery = begin(store)
    assert store.signal_run("t", "e", b"early") is Signalled.KEPT
    early = store.park("c1", delivery.id, place("e"))
    assert (early.due_ms, early.payload) == (None, b"early")
    assert store.park("c1", delivery.id, place("e")).payload == b"early", "a repeat finds the same"
    assert store.park("c1", delivery.id, place("e", field="second")).due_ms is not None
    assert store.signal_run("t", "other", b"not this") is Signalled.KEPT
    assert claim(store, "c2") is None
    assert store.signal_run("t", "e", b"late") is Signalled.WOKEN
    assert store.signal_run("t", "e", b"next") is Signalled.KEPT, "it goes on already"
    again = begin(store, "c2", 2)
    assert store.park("c2", again.id, place("e", field="second")).payload == b"late"
    assert store.park("c2", again.id, place("e", field="third")).payload == b"next"


def test_a_signal_to_an_agent_reaches_the_run_that_waits_longest_or_is_kept(store: Store, clock: BrokerClock) -> None:
    store.register("c", ["q"], INFO)
    for number, task in enumerate(("t1", "t2", "t3"), 1):
        store.publish(Outgoing(queue="q", payload=task.encode(), message_id=task))
        (one,) = store.claim("c", ["q"], sequence=number, credit=1).deliveries
        where = Place(task_id=task, queue="q", message_id=task, field="w", event="e", agent="a")
        assert store.park("c", one.id, where).due_ms is not None
        clock.now_ms += 10
    # One that was revoked is passed over.
    assert store.cancel_scheduled("q", ["t1"]) == 1
    assert store.signal_agent("a", "e", b"1") is Signalled.WOKEN
    assert store.signal_agent("a", "e", b"2") is Signalled.WOKEN
    assert store.signal_agent("a", "e", b"3") is Signalled.KEPT
    found = store.claim("c", ["q"], sequence=4, credit=9).deliveries
    assert [one.payload for one in found] == [b"t2", b"t3"]
    payloads = []
    for one in found:
        name = one.payload.decode()
        payloads.append(
            store.park("c", one.id, Place(task_id=name, queue="q", message_id=name, field="w", event="e", agent="a"))
        )
    assert [park.payload for park in payloads] == [b"1", b"2"]
    again = Place(task_id="t2", queue="q", message_id="t2", field="w2", event="e", agent="a")
    assert store.park("c", found[0].id, again).payload == b"3"


def test_a_run_can_be_woken_from_whatever_it_waits_for_and_its_record_ends(store: Store, clock: BrokerClock) -> None:
    store.publish(MESSAGE)
    delivery = begin(store)
    assert store.signal_run("t", "", b"") is Signalled.NOT_PARKED
    store.park("c1", delivery.id, place())
    assert store.parked_run("t") is not None
    assert store.signal_run("t", "", b"") is Signalled.WOKEN
    again = begin(store, "c2")
    assert store.park("c2", again.id, place()).due_ms is None
    assert store.parked_run("t") is None
    assert store.end_run("t")
    assert store.client.pttl(store._run_key("t")) <= 3_600_000
    assert not store.end_run("nobody")


def test_scripts_that_look_first_are_handed_the_keys_they_declare(store: Store) -> None:
    counted = {}
    call = store.call

    def counting(name, keys, *arguments):
        counted[name] = len(keys)
        return call(name, keys, *arguments)

    store.call = counting
    store.publish(MESSAGE)
    delivery = begin(store)
    store.agent_move("a", 0, store.agent_enter("b", "x", "q c 1").state.PREPARING_SLEEP, by="t")
    store.agent_park("c1", delivery.id, "m", "a", token=1, due_ms=None)
    assert store.agent_release("a") == 1
    store.signal_run("t", "e", b"")
    store.signal_agent("a", "e", b"")
    assert {name: counted[name] for name in ("signal_run", "signal_agent", "agent_release")} == {
        "signal_run": 6, "signal_agent": 6, "agent_release": 4,
    }  # fmt: skip


def test_nothing_of_a_parked_message_stays_when_it_is_revoked_or_purged(store: Store) -> None:
    (parked,) = store.queue_keys("q").keys("parked")
    for sequence, remove in enumerate((lambda: store.cancel_scheduled("q", ["m"]), lambda: store.purge("q")), start=1):
        store.publish(Outgoing(queue="q", payload=b"payload", message_id="m"))
        delivery = begin(store, sequence=sequence)
        assert store.park("c1", delivery.id, place("event")).outcome is Outcome.DONE
        assert store.client.zcard(parked) == 1
        remove()
        assert store.client.zcard(parked) == 0, "without an end, it would stay until the year 9999"


def test_a_revoked_run_no_longer_waits_for_its_agents_signals(store: Store) -> None:
    store.publish(MESSAGE)
    assert store.park("c1", begin(store).id, place("approved", "a")).outcome is Outcome.DONE
    waiters = store.layout.shared("hive:agents", "waiters", "a", "approved")
    assert store.client.exists(waiters)
    assert store.cancel_scheduled("q", ["m"]) == 1
    store.abandon_run("t")
    assert not store.client.exists(waiters), "it has no end of its own"
    assert store.parked_run("t") is None


def test_the_steps_of_a_run_outlast_the_wait_of_its_dead_letter_for_a_redrive(store: Store, clock: BrokerClock) -> None:
    store.publish(MESSAGE)
    delivery = begin(store)
    store.step_begin("c1", delivery.id, "t", "charge")
    store.step_end("c1", delivery.id, "t", "charge", b"receipt")
    # A signal that lets it go on keeps it no shorter.
    assert store.park("c1", delivery.id, place("approved"), wait_ms=DAY_MS).outcome is Outcome.DONE
    assert store.signal_run("t", "approved", b"yes") is Signalled.WOKEN
    left_ms = store.client.pexpiretime(store._run_key("t")) - clock.now_ms
    assert left_ms > DeadSettings().max_age_s * 1000
