"""What nobody comes for any more: results without an end and replies that were never read."""

from collections.abc import Callable, Sequence

from redis import Redis

from hive.store.faults import translated

#: Keys that one step looks at, about.
SCANNED = 500

#: Where stock Celery's backend keeps results, and where answers to `inspect` wait.
RESULTS = "celery-task-meta-"
REPLIES = ".reply.celery.pidbox"


def clean(
    client: Redis, prefix: str, stop: Callable[[], bool], *, results_idle_s: int, replies_idle_s: int
) -> dict[str, int]:
    """Remove results and replies that have no end of their own and that nobody has touched for long.

    Whoever wrote them forgot to let them expire: a backend with other settings, or a caller of ``inspect`` that died. What
    expires by itself is left alone. It may be stopped and repeated; the keys are looked at a few at a time.

    Args:
        client: of the broker.
        prefix: before every key of the application.
        stop: asked between steps.
        results_idle_s: seconds since a result was last touched.
        replies_idle_s: seconds since a list of replies was last touched.

    Returns:
        How many keys of which kind were removed.

    Raises:
        BrokerGoneError: no reply.
    """
    kinds = {
        "results_removed": (f"{_literal(prefix)}{RESULTS}*", results_idle_s),
        "replies_removed": (f"{_literal(prefix)}*{REPLIES}", replies_idle_s),
    }
    removed = dict.fromkeys(kinds, 0)
    with translated("clean"):
        for kind, (pattern, idle_s) in kinds.items():
            cursor = 0
            while not stop():
                cursor, keys = client.scan(cursor, match=pattern, count=SCANNED)
                removed[kind] += _remove(client, keys, idle_s)
                if not cursor:
                    break
    return removed


def _remove(client: Redis, keys: Sequence[bytes | str], idle_s: int) -> int:
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.ttl(key)
            pipeline.object("idletime", key)
        answers = pipeline.execute(raise_on_error=False)
    # One that has gone meanwhile has no idle time.
    idle = [
        key
        for key, ttl_s, idle_for_s in zip(keys, answers[::2], answers[1::2], strict=True)
        if ttl_s == -1 and isinstance(idle_for_s, int) and idle_for_s >= idle_s
    ]
    return int(client.unlink(*idle)) if idle else 0


def _literal(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in text)
