"""One application in two flavours: every task as a plain function, and as a coroutine function.

What a task goes through (signals, hooks) is written to a list on the broker, for the tests to compare.
"""

import asyncio
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import redis
from celery import Task, signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from pydantic import BaseModel

from hive import Hive
from hive.settings.model import Settings
from hive.settings.parts import DeliverySettings

SIGNALS = {
    name: getattr(signals, f"task_{name}")
    for name in ("prerun", "postrun", "success", "failure", "retry", "revoked", "internal_error")
}


class OddError(Exception):
    """An error with more than one argument."""


class Point(BaseModel):
    """What a pydantic task takes and returns."""

    x: int
    y: int = 0


class Log:
    """What happened to each task, on the broker."""

    def __init__(self, url: str, flavour: str) -> None:
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.flavour = flavour

    def key(self, task_id: str) -> str:
        return f"semantics:{task_id}"

    def write(self, request: Any, *words: object, task_id: str | None = None) -> None:
        """Add a line to the log of a task, marked with the attempt that writes it."""
        attempt = f"{getattr(request, 'retries', 0)}.{request.replaced_task_nesting}"
        self.client.rpush(self.key(task_id or request.id), " ".join(map(str, (attempt, *words))))

    def read(self, task_id: str) -> list[str]:
        return [str(line) for line in self.client.lrange(self.key(task_id), 0, -1)]

    def count(self, name: str) -> int:
        return int(self.client.incr(f"semantics:count:{self.flavour}:{name}"))


def build(flavour: str, url: str) -> Hive:
    """Return the application whose tasks are all plain (``sync``) or all coroutines (``async``)."""
    delivery = DeliverySettings(lease_s=3.0, renew_every_s=0.5)
    app = Hive("semantics", broker=url, backend=url, settings=Settings(delivery=delivery), set_as_current=False)
    app.conf.update(task_queues=None, task_default_queue=f"semantics-{flavour}", task_track_started=False)
    app.conf.worker_hijack_root_logger = False
    log = Log(url, flavour)
    define = _Definer(app, flavour)
    _plain_tasks(define)
    _failing_tasks(define, log)
    _waiting_tasks(define, log)
    _hooked_tasks(define, log)
    app.finalize()
    return app


class _Definer:
    """Registers one body as a plain task or as a coroutine task."""

    def __init__(self, app: Hive, flavour: str) -> None:
        self.app, self.is_async = app, flavour == "async"

    def __call__(self, *, waits: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
        def register(body: Callable[..., Any]) -> Any:
            function = (waits or _as_coroutine(body)) if self.is_async else body
            return self.app.task(**{"name": body.__name__, "bind": True, "shared": False, **options})(function)

        return register


def _as_coroutine(body: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(body)
    async def run(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return body(*args, **kwargs)

    return run


def _plain_tasks(define: _Definer) -> None:  # noqa: C901 - a list of small tasks
    @define()
    def add(self, x, y=0):
        return x + y

    @define()
    def total(self, numbers):
        return sum(numbers)

    @define()
    def describe(self, *args, **kwargs):
        request = self.request
        seen = {name: getattr(request, name) for name in ("id", "root_id", "parent_id", "retries", "is_eager", "task")}
        seen |= {"args": list(request.args), "kwargs": request.kwargs, "direct": request.called_directly}
        seen |= {"shadow": request.shadow, "group": bool(request.group), "stamps": request.stamps}
        current = self.app.current_worker_task
        return seen | {"current": current.request.id == request.id, "host": bool(request.hostname)}

    @define()
    def spawn(self, x):
        return self.app.tasks["add"].delay(x, 1).id

    @define()
    def replaced(self, x):
        return self.replace(self.app.tasks["add"].s(x, 100))

    @define()
    def replaced_by_group(self, x):
        add = self.app.tasks["add"]
        from celery import group

        return self.replace(group(add.s(x, 1), add.s(x, 2)))

    @define()
    def progress(self):
        self.update_state(state="PROGRESS", meta={"done": 1})
        return self.AsyncResult(self.request.id).state

    @define(ignore_result=True)
    def forgotten(self):
        return "nobody asks"

    @define(acks_late=False)
    def early(self):
        return "acknowledged early"

    @define(pydantic=True)
    def move(self, point: Point) -> Point:
        return Point(x=point.x + 1, y=point.y)


def _failing_tasks(define: _Definer, log: Log) -> None:  # noqa: C901 - a list of small tasks
    @define()
    def fail(self):
        raise ValueError("no")

    @define(throws=(KeyError,))
    def expected(self):
        raise KeyError("key")

    @define()
    def odd(self):
        raise OddError("a", 2, {"b": 3})

    @define()
    def unserialisable(self):
        return object()

    @define(typing=False)
    def picky(self, x):
        return x

    @define()
    def ignored(self):
        raise Ignore

    @define()
    def rejected(self):
        raise Reject("no more", requeue=False)

    @define()
    def rejected_once(self):
        if log.count(self.request.id) == 1:
            raise Reject("again", requeue=True)
        return "second"

    @define(max_retries=3)
    def retried(self, times):
        if self.request.retries < times:
            raise self.retry(countdown=0, exc=ValueError("not yet"))
        return self.request.retries

    @define(
        autoretry_for=(ValueError,), dont_autoretry_for=(UnicodeError,), retry_kwargs={"countdown": 0}, max_retries=2
    )
    def autoretried(self, times, error="ValueError"):
        if self.request.retries < times:
            raise {"ValueError": ValueError, "UnicodeError": UnicodeError}[error]("not yet")
        return self.request.retries

    # Celery calls an errback with the request, the error and the traceback only if the task is not bound.
    @define(bind=False)
    def record_error(request, exc, traceback):
        log.write(request, "errback", type(exc).__name__, exc)


def _waiting_tasks(define: _Definer, log: Log) -> None:
    async def nap(self, seconds):
        log.write(self.request, "began")
        try:
            await asyncio.sleep(seconds)
        except SoftTimeLimitExceeded:
            return "told in time"
        return "slept"

    @define(waits=nap)
    def nap(self, seconds):
        log.write(self.request, "began")
        try:
            threading.Event().wait(seconds)
        except SoftTimeLimitExceeded:
            return "told in time"
        return "slept"

    async def sleep_on(self, seconds):
        log.write(self.request, "began")
        await asyncio.sleep(seconds)
        return "slept"

    @define(waits=sleep_on)
    def sleep_on(self, seconds):
        log.write(self.request, "began")
        threading.Event().wait(seconds)
        return "slept"

    @define(waits=sleep_on, name="tracked", track_started=True)
    def tracked(self, seconds):
        log.write(self.request, "began")
        threading.Event().wait(seconds)
        return "slept"


def _hooked_tasks(define: _Definer, log: Log) -> None:  # noqa: C901 - a list of small tasks
    class Hooked(Task):
        def before_start(self, task_id, args, kwargs):
            log.write(self.request, "before_start", self.request.id == task_id)
            if args and args[0] == "before":
                raise ValueError("before")

        def on_success(self, retval, task_id, args, kwargs):
            log.write(self.request, "on_success", retval)
            if args and args[0] == "hook":
                raise ValueError("hook")

        def on_failure(self, exc, task_id, args, kwargs, einfo):
            log.write(self.request, "on_failure", repr(exc), bool(einfo.traceback))

        def on_retry(self, exc, task_id, args, kwargs, einfo):
            log.write(self.request, "on_retry", repr(exc))

        def after_return(self, status, retval, task_id, args, kwargs, einfo):
            log.write(self.request, "after_return", status, repr(retval))

    class Called(Task):
        def __call__(self, *args, **kwargs):
            log.write(self.request, "called")
            return super().__call__(*args, **kwargs)

    @define(base=type("HookedTask", (Hooked, define.app.Task), {"abstract": True}), max_retries=1)
    def hooked(self, how="well"):
        if how == "fail":
            raise ValueError("fail")
        if how == "retry" and self.request.retries == 0:
            raise self.retry(countdown=0, exc=ValueError("retry"))
        return how

    @define(base=type("CalledTask", (Called, define.app.Task), {"abstract": True}))
    def wrapped(self, x):
        return x


def record_signals(log: Log) -> None:
    """Write every task signal of this process to the log; to be called in the worker."""
    for name, signal in SIGNALS.items():
        signal.connect(functools.partial(_record, log, name), weak=False)


def _record(log: Log, name: str, sender: Any = None, **told: Any) -> None:
    request = told.get("request")
    words = [repr(told[key]) for key in ("retval", "result", "state", "exception") if key in told]
    log.write(request or sender.request, name, *words, task_id=told.get("task_id"))


if __name__ == "__main__":
    flavour, broker, pool = sys.argv[1:]
    application = build(flavour, broker)
    record_signals(Log(broker, flavour))
    os.environ["PYTHONUNBUFFERED"] = "1"
    application.conf.worker_pool = pool
    application.worker_main(
        ["worker", "-c", "4", "-n", f"{flavour}@semantics", "-l", "warning", "--without-gossip", "--without-mingle"]
    )
