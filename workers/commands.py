"""The commands ``hive review`` and ``hive ask``."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from hive import Hive, HiveError, InputError, RunningHive, SystemClock, ensure_running, load_app
from workers import domain_expert
from workers.answer import print_answer
from workers.domain_expert import Answer
from workers.page import write_page
from workers.plan import AGENTS, chosen, plan
from workers.progress import Progress
from workers.project import discover
from workers.report import Report, Timed, assemble, write_json
from workers.review import Review, await_answer, returned
from workers.serial import run_serially
from workers.steps import Course, Step
from workers.stopping import STOPPED, stoppable
from workers.summary import print_summary, summary
from workers.units import everything

#: Slots of each pool, at most, if a hive is started for one command.
MAX_SLOTS = 4


@click.command(epilog="Example: hive review src/ --output report")
@click.argument("path")
@click.option("--output", default="hive-report", show_default=True, help="Directory of report.json and report.html.")
@click.option("--serial", is_flag=True, help="One unit after another in this process, without a hive; same findings.")
@click.option("--run-tests", is_flag=True, help="Run the project's tests too: in a copy, under limits.")
@click.option("--agents", metavar="A,B", help=f"Only these agents, of {', '.join(sorted(AGENTS))}.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def review(path: str, output: str, serial: bool, run_tests: bool, agents: str | None, as_json: bool) -> None:
    """Review the Python project in directory PATH with all agents, and write a report.

    Nothing in PATH is changed, imported or executed, except its tests if --run-tests is given. If no hive runs, one is
    started for as long as it takes. Stopped with Ctrl-C, it writes what it has until then. Findings do not change the
    exit code.
    """
    with stoppable("stopped before the work began: there is nothing to report, and nothing is left running"):
        directory = _output(output, path)
        project = discover(path, directory)
        steps = plan(project, chosen(agents), run_tests=run_tests)
        app = load_app()
        labels = {name: app.agent_types[name].label for name in AGENTS}
        with Progress(Console(stderr=True), labels) as progress:
            timed = _serially(steps, progress) if serial else _over_pools(app, steps, progress)
        report = assemble(project, timed, mode="serial" if serial else "pools")
        paths = _write(report, labels, directory)
    if as_json:
        click.echo(json.dumps(summary(report, paths), indent=2))
    else:
        print_summary(Console(), report, labels, paths)
    if report.interrupted:
        raise click.exceptions.Exit(STOPPED)


@click.command(epilog='Example: hive ask src/ "How is a lease renewed?"')
@click.argument("path")
@click.argument("question")
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1, 50), help="Most passages to show.")
@click.option("--serial", is_flag=True, help="In this process, without a hive.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def ask(path: str, question: str, limit: int, serial: bool, as_json: bool) -> None:
    """Ask the domain expert about the project in directory PATH.

    The answer is the passages of its documents and docstrings that fit the question best, each with its place.
    """
    if not question.strip():
        raise InputError('the question is empty: ask in a few words, such as "how is a lease renewed?"')
    project = discover(path)
    arguments = (everything(project), question, limit)
    app = load_app()
    with stoppable("stopped before there was an answer; nothing is left running"):
        found = _asked(app, arguments, serial=serial)
    answer = Answer.model_validate(found)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        print_answer(Console(), answer)


def _asked(app: Hive, arguments: tuple[object, ...], *, serial: bool) -> Any:
    if serial:
        return returned(domain_expert.ask, domain_expert.ask.apply(arguments))
    agents = (domain_expert.AGENT,)
    with (
        Progress(Console(stderr=True), {}) as progress,
        _hive(agents, 1, progress),
    ):
        return await_answer(app, domain_expert.ask, arguments)


@contextmanager
def _hive(agents: Sequence[str], slots: int, progress: Progress) -> Iterator[RunningHive]:
    """Have a hive for the length of a block; where none is to be had, say how to do without."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(
                ensure_running(agent_types=agents, slots=slots, on_progress=lambda step: progress.say(step.detail))
            )
        except HiveError as exc:
            raise HiveError(f"{exc}; --serial does the same without a hive") from exc
        yield running


def _serially(steps: Sequence[Step], progress: Progress) -> Timed:
    clock = SystemClock()
    started_at_ms, started_at_s = clock.wall_ms(), clock.monotonic_s()
    course = run_serially(steps, progress)
    return Timed(course=course, started_at_ms=started_at_ms, wall_s=clock.monotonic_s() - started_at_s)


def _over_pools(app: Hive, steps: Sequence[Step], progress: Progress) -> Timed:
    clock = SystemClock()
    agents = tuple(dict.fromkeys(step.agent for step in steps))
    slots = max(app.settings.fleet.slots, min(os.cpu_count() or 1, MAX_SLOTS))
    progress.planned(steps)
    course = None
    try:
        with _hive(agents, slots, progress) as running:
            started_at_ms, started_at_s = clock.wall_ms(), clock.monotonic_s()
            course = Review(app, steps, progress).run()
            wall_s = clock.monotonic_s() - started_at_s
            _pass_on(course)
    except KeyboardInterrupt:
        if course is None:
            raise
    return Timed(course=course, started_at_ms=started_at_ms, wall_s=wall_s, startup_s=running.startup_s)


def _pass_on(course: Course) -> None:
    """Interrupt whoever runs the hive too, if the review was: one that was started for it then waits for nothing."""
    if course.interrupted:
        raise KeyboardInterrupt


def _write(report: Report, labels: dict[str, str], directory: Path) -> tuple[Path, ...]:
    """Write the report and return the paths of its files.

    Raises:
        InputError: the directory cannot be written any more.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return (write_json(report, directory), write_page(report, labels, directory))
    except OSError as exc:
        raise InputError(f"the report cannot be written to {directory}: {exc.strerror}") from exc


def _output(output: str, path: str) -> Path:
    """Return the directory of the report; it is made only when there is one to write.

    Raises:
        InputError: nothing can be written there.
    """
    directory = Path(output).expanduser().resolve()
    if directory == Path(path).expanduser().resolve():
        raise InputError(f"--output {output!r} is the reviewed project itself: name a directory of its own")
    nearest = next(parent for parent in (directory, *directory.parents) if os.path.exists(parent))
    if not nearest.is_dir():
        raise InputError(f"--output {output!r} cannot be made: {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"--output {output!r} cannot be written: no permission for {nearest}")
    return directory
