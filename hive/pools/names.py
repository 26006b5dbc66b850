"""The names of hive's pools, beside and in the place of Celery's own."""

from celery.concurrency import ALIASES

#: Where Celery finds the pool; the one place that says so.
ASYNCIO_POOL = "hive.pools:AsyncioPool"
PREFORK_POOL = "hive.pools.prefork:TaskPool"
THREAD_POOL = "hive.pools.thread_pool:TaskPool"


def register() -> None:
    """Let the names lead to hive's pools, in ``worker_pool`` and in options that are read after this.

    A repeat does nothing.
    """
    ALIASES["asyncio"] = ASYNCIO_POOL
    for name in ("prefork", "processes"):
        ALIASES[name] = PREFORK_POOL
    ALIASES["threads"] = THREAD_POOL
