"""A small Celery application as its users write it; ``SHOP_CLASS`` names the one import that changes."""

import os
from importlib import import_module

module, _, name = os.environ["SHOP_CLASS"].partition(":")
app = getattr(import_module(module), name)("shop", broker=os.environ["SHOP_BROKER"], backend=os.environ["SHOP_BROKER"])
app.conf.beat_schedule = {"tick": {"task": "shop.tick", "schedule": 0.5, "args": ["beat"]}}


def note(line: str) -> None:
    with open(os.environ["SHOP_NOTES"], "a", encoding="utf-8") as notes:
        notes.write(line + "\n")


@app.task(name="shop.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="shop.total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="shop.flaky", bind=True, max_retries=3)
def flaky(self, fail_times: int) -> int:
    if self.request.retries < fail_times:
        raise self.retry(countdown=0.2, exc=ConnectionError("not yet"))
    return self.request.retries


@app.task(name="shop.broken")
def broken() -> None:
    raise ValueError("no")


@app.task(name="shop.tick")
def tick(who: str) -> None:
    note(f"tick {who}")


@app.task(name="shop.failed")
def failed(request: object, exc: object, traceback: object) -> None:
    note(f"failed {exc}")
