"""The ids of what follows from a task, fixed beforehand, so that the broker drops what is published twice."""

import uuid
from collections.abc import Iterable
from typing import Any

_NAMESPACE = uuid.UUID("6e3a5f0c-6a0b-5d0e-9f43-0d7b8f6f2a51")


def fix_ids(request: Any) -> None:
    """Give callbacks and errbacks of a task ids that every attempt to publish them shares. A repeat changes nothing.

    Steps of a chain and the body of a chord have theirs since the canvas was called.
    """
    _fix(request, "callback", request.callbacks or ())
    _fix(request, "errback", request.errbacks or ())


def _fix(request: Any, kind: str, signatures: Iterable[Any]) -> None:
    for place, signature in enumerate(signatures):
        if not signature.get("subtask_type"):
            name = f"{request.id}:{request.retries or 0}:{kind}:{place}"
            signature["options"].setdefault("task_id", str(uuid.uuid5(_NAMESPACE, name)))
