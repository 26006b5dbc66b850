"""What compaction keeps, what it drops, and that every value of a tool's result survives it."""

import json
import random

from hive.consolidation.compaction import Reason, compact
from hive.consolidation.encoding import encoded, flattened, leaf
from hive.consolidation.rules import Rules
from hive.consolidation.sentences import salient
from hive.consolidation.similarity import NearDuplicates
from hive.database.contexts import Context, ContextKind


def contexts(*said: tuple[str, str, str], source: str = "s") -> list[Context]:
    kinds = {"call": ContextKind.CALL, "result": ContextKind.RESULT, "fact": ContextKind.FACT}
    return [
        Context(
            id=1000 + at, at_ms=at, kind=kinds.get(kind, ContextKind.MESSAGE), author=author, text=text, source=source
        )
        for at, (kind, author, text) in enumerate(said)
    ]


def order(id_: str, status: str) -> str:
    return json.dumps(
        {"order_id": id_, "status": status, "lines": [{"sku": "A1", "count": 2}, {"sku": "B2", "count": 1}]}
    )


def all_text(drafts: tuple[Context, ...]) -> str:
    return "\n".join(one.text for one in drafts)


def random_json(rng: random.Random, depth: int = 3) -> object:
    kind = rng.choice("vvvlo" if depth else "v")
    if kind == "v":
        return rng.choice([rng.randint(0, 9999), f"id{rng.randint(0, 999)}", rng.random() > 0.5, None, 2.5])
    if kind == "l":
        return [random_json(rng, depth - 1) for _ in range(rng.randint(0, 4))]
    keys = rng.sample(["a", "b", "name", "price", "when"], rng.randint(1, 4))
    return {key: random_json(rng, depth - 1) for key in keys}


def test_every_value_of_a_result_is_in_its_record() -> None:
    rng = random.Random(20261121)
    for _ in range(400):
        value = (
            [random_json(rng), random_json(rng)]
            if rng.random() < 0.5
            else {"x": random_json(rng), "y": random_json(rng)}
        )
        text = "\n".join(encoded(value, rows_chars=rng.choice([10, 600])))
        for path, one in flattened(value):
            for plain in one if isinstance(one, list) else [one]:
                assert leaf(plain) in text, (path, value, text)


def test_a_table_says_its_keys_once_and_goes_on_under_them() -> None:
    rows = [{"sku": f"S{at}", "price": at, "shop": "Berlin"} for at in range(20)]
    assert encoded(rows, rows_chars=10_000)[0].startswith("shop=Berlin (sku, price): S0,0 | S1,1")
    parts = encoded(rows, rows_chars=20)
    assert len(parts) > 2
    assert all(part.startswith("shop=Berlin (sku, price): ") for part in parts)


def test_a_later_state_of_a_record_replaces_the_earlier_in_memory_and_in_the_making() -> None:
    first = contexts(("call", "get_order", '{"order_id": "O1"}'), ("result", "get_order", order("O1", "open")))
    made = compact(first, [])
    known = [Context(id=7, kind=one.kind, text=one.text, subject=one.subject, source=one.source) for one in made.drafts]
    second = contexts(("call", "cancel", '{"order_id": "O1"}'), ("result", "cancel", order("O1", "cancelled")))
    later = compact(second, known)
    assert later.dropped[7] is Reason.SUPERSEDED
    assert "status=cancelled" in all_text(later.drafts)
    together = all_text(compact([*first, *contexts(("", "user", "then")), *_after(second, 10)], []).drafts)
    assert "status=open" not in together
    other = compact(
        contexts(("call", "get_order", '{"order_id": "O2"}'), ("result", "get_order", order("O2", "x"))), known
    )
    assert 7 not in other.dropped


def _after(those: list[Context], by: int) -> list[Context]:
    return [
        Context(id=one.id + by, kind=one.kind, author=one.author, text=one.text, source=one.source) for one in those
    ]


def test_what_restates_a_result_goes_and_what_is_new_stays() -> None:
    said = contexts(
        ("call", "get_order", '{"order_id": "O1"}'),
        ("result", "get_order", json.dumps({"order_id": "O1", "due": "2024-05-20", "total": 1255})),
        ("", "assistant", "Your order O1 is due on May 20 and costs $1,255.00. Is there anything else?"),
        ("", "user", "Please ship it to Lisbon instead. Thank you!"),
    )
    made = compact(said, [])
    text = all_text(made.drafts)
    assert "Lisbon" in text
    assert "anything else" not in text
    assert "costs" not in text
    assert made.dropped[said[2].id] is Reason.RESTATED
    assert set(made.dropped) == {one.id for one in said}


def test_instructions_and_facts_stay_word_for_word_and_once() -> None:
    said = contexts(("", "system", "You must obey.\n* Never refund."), ("fact", "user", "the sky is blue, ok"))
    made = compact([*said, *_after(said, 10)], [])
    assert sorted(one.text for one in made.drafts) == ["You must obey.\n* Never refund.", "the sky is blue, ok"]


def test_nothing_is_judged_by_what_was_said_after_it() -> None:
    said = contexts(
        ("", "user", "I moved to Porto in 2021 with my brother Rui."),
        ("", "assistant", "Noted."),
        ("", "user", "Porto, 2021, Rui: did you get that?"),
    )
    for end in range(1, len(said) + 1):
        kept = all_text(compact(said[:end], []).drafts)
        assert kept
        assert all_text(compact(said, []).drafts).startswith(kept.splitlines()[0])


def test_a_language_model_writes_summaries_when_there_is_one() -> None:
    said = contexts(("", "user", "My flight to Oslo left at 7:00 PM."))
    for answer, kept in (("Oslo, 19:00", "Oslo, 19:00"), ("", "user: My flight"), ("long " * 50, "user: My flight")):
        made = compact(said, [], Rules(summarizer=lambda _, answer=answer: answer))  # type: ignore[misc]
        assert all_text(made.drafts).startswith(kept)


def test_names_are_the_same_however_they_are_written() -> None:
    assert salient("on 2024-05-20 at 19:00:00 for 1255") == salient("on May 20th at 7:00 PM for $1,255.00") != set()


def test_near_duplicates_are_found_and_others_are_not() -> None:
    known = NearDuplicates(0.7)
    known.add("Is there anything else that I can help you with today, dear customer?")
    assert known.find("is there anything else that I can help you with today, dear client?") is not None
    assert known.find("The reservation was cancelled by the airline because of snow in Denver.") is None
