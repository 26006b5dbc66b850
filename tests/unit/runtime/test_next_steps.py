"""Every message that a task publishes next has the same id each time its body runs."""

import json
from types import SimpleNamespace
from typing import Any

from celery import chain, chord, group, signature

from hive.runtime.calling.next_steps import fence_of_source, fix_ids


def ids(node: Any) -> list[str]:
    """Return all task ids inside a signature as it stands in a message."""
    inner = node.get("kwargs", {}) if node["subtask_type"] else {}
    parts = [*inner.get("tasks", ()), *inner.get("header", ()), *([inner["body"]] if inner.get("body") else [])]
    return [*filter(None, [node["options"].get("task_id")]), *(id_ for part in parts for id_ in ids(part))]


def test_groups_chains_and_chords_as_callbacks_have_ids_that_every_run_shares() -> None:
    def step(name: str) -> Any:
        return signature(name, app=None)

    callbacks = [
        step("plain"),
        group([step("a"), chain(step("b"), step("c"))]),
        chord([step("d"), step("e")], step("f")),
    ]
    runs = []
    for _ in range(2):
        request = SimpleNamespace(
            id="task", retries=0, callbacks=json.loads(json.dumps(callbacks)), errbacks=[], chain=None, chord=None,
            delivery_info={"hive": {"token": 1}},
        )  # fmt: skip
        fix_ids(request)
        runs.append([id_ for callback in request.callbacks for id_ in ids(callback)])
    # plain; the group, a, b, c; the chord, d, e, f.
    assert len(runs[0]) == len(set(runs[0])) == 9
    assert runs[0] == runs[1]
    assert all(fence_of_source(request, id_) == {"token": 1} for id_ in runs[1])
