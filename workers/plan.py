"""The plan of a review: which task gets which files.

File-local tools get the units; tools that need the whole project get it once. Of each agent the whole-project steps come
first and its units largest first, so that no long step begins when the others are done.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from hive import InputError
from workers import (
    bug_hunter,
    code_architect,
    code_reviewer,
    documentation_writer,
    domain_expert,
    general_developer,
    performance_optimizer,
    refactoring_specialist,
    security_analyst,
    test_engineer,
)
from workers.findings import Unit
from workers.project import Project
from workers.steps import Step
from workers.units import everything, split, whole

#: Tasks that take all files at once, documents and configuration as well as Python.
EVERYTHING = (
    (domain_expert.AGENT, domain_expert.survey),
    (general_developer.AGENT, general_developer.survey),
)

#: Tasks that take all Python files at once.
WHOLE = (
    (code_architect.AGENT, code_architect.review),
    (bug_hunter.AGENT, bug_hunter.dead_code),
    (refactoring_specialist.AGENT, refactoring_specialist.duplicates),
    (test_engineer.AGENT, test_engineer.survey),
)

#: Tasks that take Python files unit by unit.
PYTHON = (
    (code_reviewer.AGENT, code_reviewer.review),
    (bug_hunter.AGENT, bug_hunter.review),
    (performance_optimizer.AGENT, performance_optimizer.review),
    (security_analyst.AGENT, security_analyst.review),
    (documentation_writer.AGENT, documentation_writer.review),
    (refactoring_specialist.AGENT, refactoring_specialist.review),
)

#: Tasks that take files that are no Python unit by unit.
OTHERS = ((security_analyst.AGENT, security_analyst.secrets),)

#: Agent types that take part.
AGENTS = tuple(dict.fromkeys(agent for agent, _ in (*WHOLE, *PYTHON, *EVERYTHING, *OTHERS)))


def plan(project: Project, agents: Iterable[str] = AGENTS, *, run_tests: bool = False) -> tuple[Step, ...]:
    """Return the steps of a review, in the order they are sent; a repeat gives the same.

    Args:
        project: what is reviewed.
        agents: the agent types that take part.
        run_tests: whether the test engineer runs the project's tests, in a copy.

    Raises:
        InputError: none of the agents has anything to do, or tests are to be run and the test engineer is not there.
    """
    wanted = set(agents)
    if run_tests and test_engineer.AGENT not in wanted:
        raise InputError(f"tests are run by the {test_engineer.AGENT}, which is not among the chosen agents")
    steps = tuple(_with_tests(step) if run_tests else step for step in _steps(project) if step.agent in wanted)
    if not steps:
        raise InputError(f"there is nothing to do here for {', '.join(sorted(wanted)) or 'nobody'}")
    return steps


def chosen(names: str | None) -> tuple[str, ...]:
    """Return the agent types that a comma-separated list names; all if there is no list.

    Raises:
        InputError: a name is none of theirs.
    """
    if names is None:
        return AGENTS
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in AGENTS]
    if unknown or not wanted:
        what = f"{unknown[0]!r} is no agent of a review" if unknown else "--agents names nobody"
        raise InputError(f"{what}; there are {', '.join(sorted(AGENTS))}")
    return tuple(agent for agent in AGENTS if agent in wanted)


def _steps(project: Project) -> Iterator[Step]:
    yield from _each(EVERYTHING, [everything(project)])
    yield from _each(WHOLE, [whole(project)])
    yield from _each(PYTHON, split(project.root, project.python))
    yield from _each(OTHERS, split(project.root, project.others))


def _each(tasks: Iterable[tuple[str, Any]], units: Iterable[Unit]) -> Iterator[Step]:
    tasks = tuple(tasks)
    for unit in units:
        for agent, task in tasks:
            yield Step(agent=agent, task=task, unit=unit)


def _with_tests(step: Step) -> Step:
    return replace(step, arguments={"run_tests": True}) if step.agent == test_engineer.AGENT else step
