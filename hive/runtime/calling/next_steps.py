"""The ids of what follows from a task, fixed beforehand, so that the broker drops what is published twice."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hive.transport.envelope import PUBLISH_ID

#: The attribute of a task's request that holds the ids of its next steps, once they are fixed.
_NEXT = "hive_next_ids"

#: Signatures that hold others.
_CANVAS = frozenset({"group", "chain", "chord"})

_NAMESPACE = uuid.UUID("6e3a5f0c-6a0b-5d0e-9f43-0d7b8f6f2a51")


def fix_ids(request: Any, *others: str) -> None:
    """Give callbacks and errbacks of a task ids that every attempt to publish them shares. A repeat changes nothing.

    So do the tasks inside those that are groups, chains and chords. Steps of a chain and the body of a chord have theirs
    since the canvas was called. From now on the task's messages with one of these ids, or of ``others``, are known as its
    next steps.
    """
    name = f"{request.id}:{request.retries or 0}"
    _fix(f"{name}:callback", request.callbacks or ())
    _fix(f"{name}:errback", request.errbacks or ())
    chain, chord = (request.chain or ())[-1:], [request.chord] if request.chord else ()
    roots = [*(request.callbacks or ()), *(request.errbacks or ()), *chain, *chord]
    setattr(request, _NEXT, frozenset((*_ids(roots), *others)))


def fence_of_source(request: Any, task_id: str | None) -> dict[str, Any] | None:
    """Return the fence of a running task if the task with this id is one of its next steps, else None."""
    if request is None or task_id not in getattr(request, _NEXT, ()):
        return None
    fence: dict[str, Any] | None = (request.delivery_info or {}).get("hive")
    return fence


def fix_publishes(signatures: Sequence[Any], name: str) -> None:
    """Give signatures that no running task publishes ids made from a name: within a minute, the broker drops a repeat."""
    _fix(name, signatures)
    for signature in _inside(signatures):
        task_id = signature.setdefault("options", {}).get("task_id")
        if task_id and not _parts(signature):
            signature["options"].setdefault(PUBLISH_ID, task_id)


def _ids(roots: Iterable[Any]) -> Iterator[str]:
    """Yield the ids of signatures, and of those inside groups, chains and chords."""
    for signature in _inside(roots):
        task_id = (signature.get("options") or {}).get("task_id")
        if task_id:
            yield task_id


def _fix(name: str, signatures: Sequence[Any]) -> None:
    """Give signatures, and those inside them, ids made from a name, where they have none."""
    for place, signature in enumerate(signatures):
        here, parts = f"{name}:{place}", _parts(signature)
        # A chain has the id of its last step.
        if signature.get("subtask_type") != "chain":
            signature.setdefault("options", {}).setdefault("task_id", str(uuid.uuid5(_NAMESPACE, here)))
        _fix(here, parts)


def _parts(signature: Mapping[str, Any]) -> list[Any]:
    """Return the signatures inside one that is a group, a chain or a chord; of others there are none."""
    inner = (signature.get("kwargs") or {}) if signature.get("subtask_type") in _CANVAS else {}
    parts: list[Any] = []
    for part in (inner.get(name) for name in ("tasks", "header", "body")):
        parts += [part] if isinstance(part, Mapping) else part or ()
    return parts


def _inside(signatures: Iterable[Any]) -> Iterator[Any]:
    """Yield signatures, and those inside them."""
    waiting = list(signatures)
    while waiting:
        signature = waiting.pop()
        yield signature
        waiting += _parts(signature)
