"""Tasks with retry strategies; what they see goes to lists on the broker. Run as a module it is a worker."""

import json
import sys
from typing import Any

import redis

from hive import (
    AdaptiveRetry,
    BatchedRetry,
    ExponentialRetry,
    Hive,
    ImmediateRetry,
    RetryBudget,
    Settings,
    SystemClock,
)
from hive.settings.parts import DeliverySettings


class StockGoneError(Exception):
    """Nothing that hive knows."""


class ThrottledError(Exception):
    """What a provider's library raises."""

    status_code = 429
    retry_after = 1.5


ERRORS = {
    "network": ConnectionResetError,
    "validation": ValueError,
    "bug": KeyError,
    "throttled": ThrottledError,
    "stock": StockGoneError,
}


def build(url: str, queue: str) -> Hive:
    """Return the application; ``queue`` also names its lists."""
    clock = SystemClock()
    settings = Settings(delivery=DeliverySettings(lease_s=3.0, renew_every_s=0.5))
    app = Hive("retries", broker=url, backend=url, settings=settings, set_as_current=False)
    app.conf.update(task_queues=None, task_default_queue=queue, worker_hijack_root_logger=False)
    client = redis.Redis.from_url(url, decode_responses=True)

    def fail(task: Any, kind: str, times: int) -> str:
        client.rpush(f"{queue}:{task.request.id}", json.dumps([clock.wall_ms() / 1000, task.request.retries]))
        if task.request.retries < times:
            raise ERRORS[kind](kind)
        return f"done after {task.request.retries}"

    def define(name: str, retry: Any, **options: Any) -> None:
        @app.task(name=name, bind=True, retry=retry, shared=False, **options)
        def plain(self, kind, times):
            return fail(self, kind, times)

        @app.task(name=f"{name}_async", bind=True, retry=retry, shared=False, **options)
        async def coroutine(self, kind, times):
            return fail(self, kind, times)

    define("quick", ImmediateRetry(max_retries=2))
    define("kept", ImmediateRetry(max_retries=1, dead_letter=True, causes={StockGoneError: "poison"}))
    define("slow", ExponentialRetry(base_s=0.4, jitter=0.0))
    define("learning", AdaptiveRetry(attempt_cost_s=0.1))
    budget = RetryBudget(dependency="provider", share=0.0, min_per_s=2.0, window_s=0.5)
    define("budgeted", ImmediateRetry(budget=budget))
    _batched(app, client, queue)
    _by_hand(app)
    app.finalize()
    return app


def _batched(app: Hive, client: Any, queue: str) -> None:
    batched = BatchedRetry(dependency=f"stock-{queue}", probe_s=0.3, probe_cap_s=0.3, release_per_s=20.0, hold_s=60.0)

    clock = SystemClock()

    @app.task(name="calls", bind=True, retry=batched, shared=False)
    async def calls(self):
        client.rpush(f"{queue}:calls", json.dumps([clock.wall_ms() / 1000, self.request.id]))
        if not client.exists(f"{queue}:up"):
            raise ConnectionRefusedError("down")


def _by_hand(app: Hive) -> None:
    @app.task(name="by_hand", bind=True, retry="immediate", max_retries=1, shared=False)
    def by_hand(self):
        raise self.retry(countdown=0, exc=KeyError(self.request.retries))

    @app.task(name="autoretried", bind=True, retry="immediate", shared=False, autoretry_for=(LookupError,),
              retry_kwargs={"countdown": 0, "max_retries": 1})  # fmt: skip
    async def autoretried(self):
        raise KeyError(self.request.retries)


if __name__ == "__main__":
    broker, name, pool = sys.argv[1:4]
    application = build(broker, name)
    application.conf.worker_pool = pool
    options = ["-c", "4", "-n", f"{name}@retries", "-l", "info", "--without-gossip", "--without-mingle"]
    application.worker_main(["worker", *options])
