"""``hive bench``: the commands."""

import json
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hive.cli.bench import measures, peers
from hive.cli.bench.broker import BenchBroker, opened
from hive.cli.bench.measures import Amount, Figures
from hive.cli.bench.record import record, summarise
from hive.cli.bench.side import Bench, Conditions, Side, set_up

Measure = Callable[[Bench, Amount], Figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a command was asked for beyond the conditions of both sides."""

    rounds: int
    broker: str | None
    as_json: bool
    peers: Path | None
    peer_python: tuple[Path, ...]
    peer: tuple[str, ...]


COMMON = (
    click.option("--rounds", default=5, show_default=True, help="Rounds; each side runs once in each."),
    click.option("--broker", help="Address of a broker to use; unset: a private one. It is never flushed."),
    click.option("--prefetch", default=64, show_default=True, help="Messages held for each slot."),
    click.option("--events", is_flag=True, help="Workers send task events."),
    click.option("--results", is_flag=True, help="Results are stored."),
    click.option("--json", "as_json", is_flag=True, help="Print the whole record as JSON."),
    click.option(
        "--peers",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Directory of adapters with a run.py: runs other task queues too, on a private broker.",
    ),
    click.option(
        "--peer-python",
        multiple=True,
        type=click.Path(path_type=Path, exists=True),
        help="Interpreter of an environment with peers; may be repeated.",
    ),
    click.option("--peer", multiple=True, help="Only this peer; may be repeated."),
)


def common(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every measure takes."""
    for option in reversed(COMMON):
        function = option(function)
    return function


def workers(pool: str, processes: int, concurrency: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options about workers, with a measure's own defaults."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        function = click.option("--concurrency", default=concurrency, show_default=True, help="Slots of each worker.")(
            function
        )
        function = click.option("--processes", default=processes, show_default=True, help="Worker commands.")(function)
        pools = click.Choice(["prefork", "threads", "solo", "gevent"])
        return click.option("--pool", type=pools, default=pool, show_default=True, help="Pool of both sides.")(function)

    return add


@click.group(epilog="Example: hive bench throughput --pool threads --rounds 5 --json")
def bench() -> None:
    """Measure hive beside stock Celery 5.7, in turn, on the same broker with the same settings."""
    # Workers and broker are ended on the way out, which SIGTERM would not take.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@bench.command()
@common
@workers("threads", 2, 2)
@click.option("--tasks", default=20_000, show_default=True, help="Tasks in a round.")
def throughput(tasks: int, **options: Any) -> None:
    """No-op tasks a second off a backlog, client requests and CPU per task."""
    _run("throughput", measures.throughput, Amount(tasks=tasks), options)


@bench.command()
@common
@workers("threads", 2, 2)
@click.option("--tasks", default=200, show_default=True, help="Tasks in a round, 20 ms apart.")
def latency(tasks: int, **options: Any) -> None:
    """Milliseconds from .delay() to the start of an idle worker's task, and what idling costs the broker."""
    _run("latency", measures.latency, Amount(tasks=tasks), options)


@bench.command()
@common
@click.option("--tasks", default=10_000, show_default=True, help="Messages in a round.")
def enqueue(tasks: int, **options: Any) -> None:
    """Messages a second that one process publishes with .delay(), and with app.batch()."""
    options |= {"pool": "solo", "processes": 0, "concurrency": 1}
    _run("enqueue", measures.enqueue, Amount(tasks=tasks), options)


@bench.command()
@common
@workers("prefork", 2, 2)
@click.option("--tasks", default=1_000, show_default=True, help="Tasks in a round.")
@click.option("--seconds", default=0.01, show_default=True, help="Seconds each takes.")
@click.option("--kills", default=3, show_default=True, help="Times all workers are killed with SIGKILL.")
@click.option("--limit-s", default=60.0, show_default=True, help="Seconds after the last restart to wait for the rest.")
@click.option("--seed", default=0, help="Seed of the moments of the kills; 0 draws one.")
def crash(tasks: int, seconds: float, kills: int, limit_s: float, seed: int, **options: Any) -> None:
    """Kill the workers again and again; count what is lost, what runs again, and how long recovery takes."""
    chosen = seed or random.SystemRandom().randrange(1, 2**31)
    _run(
        "crash",
        measures.crash,
        Amount(tasks=tasks, seconds=seconds, kills=kills, limit_s=limit_s, seed=chosen),
        options,
    )


@bench.command()
@common
@workers("threads", 1, 500)
@click.option("--tasks", default=2_000, show_default=True, help="Tasks in a round.")
@click.option("--seconds", default=1.0, show_default=True, help="Seconds each waits.")
def io(tasks: int, seconds: float, **options: Any) -> None:
    """Seconds that tasks which only wait take at high concurrency, with CPU and memory."""
    options["prefetch"] = 1
    _run("io", measures.waiting, Amount(tasks=tasks, seconds=seconds), options)


def _run(name: str, measure: Measure, amount: Amount, options: dict[str, Any]) -> None:
    run = Run(**{key: options.pop(key) for key in Run.__slots__})
    conditions = Conditions(**options)
    progress = Console(stderr=True)
    with opened(run.broker) as broker:
        server = broker.version()
        rounds = [_round(number, measure, amount, conditions, broker, progress) for number in range(run.rounds)]
    theirs = peers.standings(_peer_rounds(run, name, progress), name)
    if run.as_json:
        said = [asdict(one) for one in theirs]
        click.echo(json.dumps(record(name, asdict(conditions) | asdict(amount), server, rounds, said), indent=2))
    else:
        _show(name, rounds, theirs)


def _peer_rounds(run: Run, name: str, progress: Console) -> list[list[peers.Row]]:
    """Let hive and every peer do the peers' own work once a round."""
    found: list[list[peers.Row]] = []
    if run.peers is None:
        return found
    for number in range(run.rounds):
        found.append([])
        for row in peers.rows(run.peers, run.peer_python, name, run.peer):
            progress.print(f"[dim]round {number + 1}[/] {row.text}", highlight=False, soft_wrap=True)
            found[-1].append(row)
    return found


def _round(
    number: int, measure: Measure, amount: Amount, conditions: Conditions, broker: BenchBroker, progress: Console
) -> dict[str, Figures]:
    """Measure both sides once; who goes first changes with each round."""
    sides = list(Side) if number % 2 == 0 else list(reversed(Side))
    found = {}
    for side in sides:
        with set_up(side, broker, conditions) as bench:
            found[side.label] = measure(bench, amount)
        figures = ", ".join(f"{name} {value:,.4g}" for name, value in found[side.label].items())
        progress.print(f"[dim]round {number + 1}[/] {side.label:5} {figures}", highlight=False, soft_wrap=True)
    return found


def _show(name: str, rounds: list[dict[str, Figures]], theirs: list[peers.Standing]) -> None:
    table = Table(
        "figure", "hive", "stock Celery", "hive / stock", "least .. most", title=f"hive bench {name}", box=None
    )
    for one in summarise(rounds):
        spread = f"{one.spread[0]:.2f} .. {one.spread[1]:.2f}" if one.spread else ""
        ratio = (
            f"{one.ratio:.2f}" + (" (less is better)" if one.less_is_better else "") if one.ratio is not None else ""
        )
        table.add_row(one.figure, _number(one.hive), _number(one.stock), ratio, spread)
    console = Console()
    console.print(table)
    if theirs:
        console.print(_peer_table(theirs))
    console.print(
        "Medians of the rounds; a ratio is taken within each round. Other machines give other figures.", soft_wrap=True
    )


def _peer_table(theirs: list[peers.Standing]) -> Table:
    table = Table("peer", "median", "better hive / peer", "least .. most", title="the peers' own work", box=None)
    for one in theirs:
        ratio = "-" if one.hive_ratio is None else f"{one.hive_ratio:.2f}"
        spread = f"{one.spread[0]:.2f} .. {one.spread[1]:.2f}" if one.spread else ""
        table.add_row(one.name, _number(one.median), ratio, spread)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
