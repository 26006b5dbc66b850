"""The claim to publish a chord's body, taken from a delivery that died with it.

Celery lets the part that completes a chord claim the dispatch of the body, so that no two publish it, and forgets a claim only
after its time: six seconds, or half a minute once the body is about to be published. hive delivers a part whose worker died
again before that. It would find the chord complete and claimed, publish nothing, and end: the body would be lost.

Here two may publish: the body has its id since the chord was called, and the broker drops the second of both, and whatever
a delivery publishes that is no longer current.
"""

from typing import Any

#: What Celery writes in place of a claim once the body was published.
_DONE = b"done"


def free_claim(backend: Any, request: Any) -> None:
    """Take the claim on the chord of a redelivered part from whoever has it; a chord that is done stays done.

    A living one whose claim is taken sees it before it publishes, or publishes what the broker drops.

    Args:
        backend: Celery's Redis backend.
        request: of the part.
    """
    group = getattr(request, "group", None)
    if not group or not (request.delivery_info or {}).get("redelivered"):
        return
    key = backend.get_key_for_group(group, ".c")

    def free(pipeline: Any) -> None:
        claim = pipeline.get(key)
        pipeline.multi()
        if claim is not None and claim not in {_DONE, _DONE.decode()}:
            pipeline.delete(key)

    backend.client.transaction(free, key)
