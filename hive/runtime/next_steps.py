"""The ids of what follows from a task, fixed beforehand, so that the broker drops what is published twice."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

#: The attribute of a task's request that holds the ids of its next steps, once they are fixed.
_NEXT = "hive_next_ids"

_NAMESPACE = uuid.UUID("6e3a5f0c-6a0b-5d0e-9f43-0d7b8f6f2a51")


def fix_ids(request: Any, *others: str) -> None:
    """Give callbacks and errbacks of a task ids that every attempt to publish them shares. A repeat changes nothing.

    Steps of a chain and the body of a chord have theirs since the canvas was called. From now on the task's messages with
    one of these ids, or of ``others``, are known as its next steps.
    """
    _fix(request, "callback", request.callbacks or ())
    _fix(request, "errback", request.errbacks or ())
    chain, chord = (request.chain or ())[-1:], [request.chord] if request.chord else ()
    roots = [*(request.callbacks or ()), *(request.errbacks or ()), *chain, *chord]
    setattr(request, _NEXT, frozenset((*_ids(roots), *others)))


def fence_of_source(request: Any, task_id: str | None) -> dict[str, Any] | None:
    """Return the fence of a running task if the task with this id is one of its next steps, else None."""
    if request is None or task_id not in getattr(request, _NEXT, ()):
        return None
    fence: dict[str, Any] | None = (request.delivery_info or {}).get("hive")
    return fence


def _ids(roots: Iterable[Any]) -> Iterator[str]:
    """Yield the ids of signatures, and of those inside groups, chains and chords."""
    waiting = list(roots)
    while waiting:
        signature = waiting.pop()
        if isinstance(signature, Mapping):
            task_id = (signature.get("options") or {}).get("task_id")
            if task_id:
                yield task_id
            inner = signature.get("kwargs") if signature.get("subtask_type") else None
            waiting += [part for name in ("tasks", "header", "body") if (part := (inner or {}).get(name))]
        elif isinstance(signature, Sequence) and not isinstance(signature, str):
            waiting += signature


def _fix(request: Any, kind: str, signatures: Iterable[Any]) -> None:
    for place, signature in enumerate(signatures):
        if not signature.get("subtask_type"):
            name = f"{request.id}:{request.retries or 0}:{kind}:{place}"
            signature["options"].setdefault("task_id", str(uuid.uuid5(_NAMESPACE, name)))
