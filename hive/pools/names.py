"""The asyncio pool's name beside Celery's own."""

from celery.concurrency import ALIASES

#: Where Celery finds the pool; the one place that says so.
ASYNCIO_POOL = "hive.pools:AsyncioPool"


def register() -> None:
    """Let ``asyncio`` name the pool, in ``worker_pool`` and in options that are read after this. A repeat does nothing."""
    ALIASES["asyncio"] = ASYNCIO_POOL
