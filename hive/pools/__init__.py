"""Pools: the asyncio pool, and coroutine tasks in every other pool.

Agents wait: for a model, a tool, a person. Celery's pools spend a process or a thread on each task that waits; the
asyncio pool spends a coroutine.

::

    consumer's thread                    loop's thread (one per process)           other threads
    ─────────────────                    ───────────────────────────────           ─────────────
    AsyncioPool.on_apply ── Job ───────> Slots ── CoroutineTracer ── Body          Threads: plain functions
    Mailbox.deliver <── reports ───────── accepted, limits, outcome ──────────────> Network: results, next steps
      acknowledge, events                 LoopWatch.enter/leave <── looks ───────── LoopWatch

The loop has a thread of its own, and is not the worker's hub: while a task blocks it the consumer still answers `ping`,
renews and acknowledges. Everything a job reports is told on the consumer's thread, in order, so the worker's books are
kept by one thread. What may wait for the network never runs on the loop.

Guaranteed: a coroutine task has the outcomes of the same function under prefork (one suite runs both and compares).
Limits and revokes interrupt it at its next await, within 100 ms; `SoftTimeLimitExceeded` arrives inside. An interrupted
task reports nothing more, however it ends. A stop drains within the grace period, cancels what is left, and hands back
what then did not end well.

Not guaranteed: a task that never awaits cannot be interrupted; it is named in a warning after 100 ms, with its stack,
and its hard limit is reported in time all the same, by the watching thread.
One that swallows its cancellation is named after a second and abandoned after ten; the worker then drains and replaces
its process. Plain functions run on threads, where nothing can interrupt them, as in Celery's threads pool.

In any other pool a coroutine task runs on the loop that its process keeps (:mod:`hive.pools.process_loop`), while the
pool's process or thread waits for it.
"""

from hive.pools.lifespan import Lifespan, LifespanError
from hive.pools.pool import AsyncioPool

__all__ = ["AsyncioPool", "Lifespan", "LifespanError"]
