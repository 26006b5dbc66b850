"""``hive route``: where a call of a task would go now, and why."""

import json
import math
import random
from dataclasses import dataclass
from typing import Any

import click
from rich.table import Table

from hive.cli.queue import json_option, reached
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.errors import InputError, suggestion
from hive.routing.candidates import Call, Decision, Pool
from hive.routing.named import STRATEGIES, strategy_of
from hive.routing.router import Router
from hive.routing.shared_queue import SharedQueue
from hive.routing.strategy import Strategy
from hive.runtime.app import Hive


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision with what it was made from."""

    call: Call
    strategy: Strategy
    pools: list[Pool]
    decision: Decision


@click.command("route", epilog="Example: hive route shop.answer --affinity conversation-7")
@click.argument("task", metavar="TASK")
@app_option
@click.option("--affinity", help="The key of the call.")
@click.option("--agent-type", metavar="TYPE", help="As if the call named this agent type.")
@click.option("--strategy", type=click.Choice(list(STRATEGIES)), help="As if the task declared this one.")
@json_option
def route(
    task: str, app_path: str, affinity: str | None, agent_type: str | None, strategy: str | None, as_json: bool
) -> None:
    """Explain where a call of TASK would go at this moment: candidates, their scores, the choice and its reason.

    Nothing is sent. Strategies draw by chance between candidates, so the next call may go elsewhere.
    """
    app = reached(app_path)[0]
    explained = explain(app, task, affinity, agent_type, strategy)
    decision = explained.decision
    queue = app.agent_types[decision.agent_type].queue
    rows = candidates(explained)
    if as_json:
        told = {"task": task, "queue": queue, "worker": decision.worker, "strategy": decision.strategy}
        click.echo(json.dumps({**told, "reason": decision.reason, "candidates": rows}, indent=2))
        return
    console = table_console()
    place = f"the lane of {decision.worker}" if decision.worker else "the shared queue"
    console.print(f"{task} goes to {place} of {queue}\n{decision.strategy}: {decision.reason}")
    declared = getattr(app.tasks[task], "affinity", None)
    if affinity is None and declared is not None:
        console.print(f"its calls go by the key {declared}: say --affinity KEY to see where one goes")
    if rows:
        console.print(_table(rows, decision))


def explain(app: Hive, name: str, affinity: str | None, agent_type: str | None, strategy: str | None) -> Explanation:
    """Return the decision for a call of a task, by a fresh look at the workers.

    Raises:
        InputError: there is no such task, or it goes to no agent type.
        UnknownAgentTypeError: nobody declared ``agent_type``.
        BrokerGoneError: the broker does not answer.
    """
    if name not in app.tasks:
        raise InputError(f"there is no task {name!r}{suggestion(name, app.tasks)}")
    task: Any = app.tasks[name]
    wanted = agent_type or task.agent_type
    if wanted is not None:
        app.agent_types.require(wanted, task=name)
    router = Router(app.agent_types, app.snapshots, app.process.clock)
    chosen = strategy_of(strategy) if strategy else router.strategy_of(task, affinity) or SharedQueue()
    call = router.call_of(name, task, affinity)
    names = router.candidates(call, wanted)
    if not names:
        raise InputError(f"task {name!r} has no agent type that could take it: it goes where Celery sends it")
    pools = [app.snapshots.read(one) for one in names]
    decision = chosen.choose(call, pools, app.process.clock.monotonic_s(), random.SystemRandom())
    return Explanation(call=call, strategy=chosen, pools=pools, decision=decision)


def candidates(explained: Explanation) -> list[dict[str, Any]]:
    """Return a row for each worker the call could go to, those the strategy likes best first."""
    found = [
        (explained.strategy.score(explained.call, pool, worker), pool, worker)
        for pool in explained.pools
        for worker in pool.workers
    ]
    return [
        {
            "agent_type": pool.name,
            "worker": worker.name,
            # None: it cannot take the call.
            "score": round(score, 4) + 0.0 if math.isfinite(score) else None,
            "slots": worker.slots,
            "busy": worker.busy,
            "queued": worker.queued,
            "load": round(worker.load, 3),
            "rate": None if worker.rate is None else round(worker.rate, 3),
            "failed_share": round(worker.failed_share, 3),
            "cpu": worker.cpu,
            "memory": worker.memory,
        }
        for score, pool, worker in sorted(found, key=lambda one: one[0], reverse=True)
    ]


def _table(rows: list[dict[str, Any]], decision: Decision) -> Table:
    table = Table("", box=None, padding=(0, 1, 0, 0))
    for name in ("agent type", "worker"):
        table.add_column(name, no_wrap=True, overflow="fold")
    headings = ("score", "slots", "busy", "queued", "load", "rate", "failed", "cpu", "memory")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        mark = "→" if row["worker"] == decision.worker and row["agent_type"] == decision.agent_type else ""
        values = [row[name] for name in ("score", "slots", "busy", "queued", "load", "rate", "failed_share")]
        cells = ["-" if value is None else f"{value:g}" for value in values]
        table.add_row(mark, row["agent_type"], row["worker"], *cells, f"{row['cpu']:.0%}", f"{row['memory']:.0%}")
    return table
