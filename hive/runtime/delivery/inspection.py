"""Looking at a message before Celery does: whether it can be a call of a task this worker knows."""

import traceback
from collections.abc import Callable, Mapping
from functools import cache
from inspect import Signature, signature
from itertools import pairwise
from types import FrameType, TracebackType
from typing import Any

from kombu.exceptions import ContentDisallowed, DecodeError
from pydantic import ValidationError

from hive.deadletter.poison import Poison, Reason, body_problem, header_problem, is_deeper
from hive.errors import ArgumentsRefusedError

#: What decoding and reading a message of somebody's making may raise.
BROKEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

#: Where Celery makes pydantic models of a task's arguments.
_PYDANTIC_CALLER = "celery.app.base"

#: Of what a model finds wrong, how much is told.
PROBLEMS = 10


def examine(message: Any, tasks: Mapping[str, Any], max_depth: int) -> Poison | None:
    """Return why a message cannot be a call of a known task; None if it can, or if it names none that is known.

    Only its form is looked at: whether it decodes, has the shape of a call, and fits the function's parameters.

    Args:
        message: as kombu delivers it; its body is decoded once, and kept for Celery.
        tasks: the known tasks by name.
        max_depth: levels of lists and mappings.
    """
    headers = message.headers
    if not isinstance(headers, dict) or "task" not in headers:
        return None
    problem = header_problem(headers)
    if problem is not None or headers["task"] not in tasks:
        return problem
    try:
        payload = message.payload
    except (ContentDisallowed, DecodeError, *BROKEN) as error:
        return undecodable(error)
    return (
        body_problem(payload)
        or _depth_problem(message.body, payload, max_depth)
        or _argument_problem(tasks[headers["task"]], payload)
    )


def undecodable(error: Exception) -> Poison:
    """Return what is said of a body that cannot be decoded."""
    origin: BaseException | None = error
    while origin is not None:
        if isinstance(origin, RecursionError):
            return Poison(reason=Reason.TOO_DEEP, cause="the body is nested deeper than the parser can follow")
        origin = origin.__cause__ or origin.__context__
    return Poison(reason=Reason.UNDECODABLE, cause=f"the body cannot be decoded: {error}")


def invalid(error: Exception) -> Poison:
    """Return what is said of a message that Celery cannot make a task of."""
    cause = f"no task can be made of it: {type(error).__name__}: {error}"
    return Poison(reason=Reason.INVALID_TASK, cause=cause, traceback=trace_of(error))


def _depth_problem(body: Any, payload: object, max_depth: int) -> Poison | None:
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else bytes(body or b"")
    if len(raw) <= max_depth:
        return None
    # Counting brackets costs little, and hardly any message has so many.
    if raw.count(b"[") + raw.count(b"{") <= max_depth or not is_deeper(payload, max_depth):
        return None
    return Poison(reason=Reason.TOO_DEEP, cause=f"the body is nested more than {max_depth} levels deep")


def _argument_problem(task: Any, payload: Any) -> Poison | None:
    check = getattr(task, "__header__", None)
    # A class of the user's own that is called in its own way may give its function other arguments.
    if (
        not isinstance(payload, (list, tuple))
        or not task.typing
        or check is None
        or _is_called_its_own_way(task.__class__)
    ):
        return None
    try:
        check(*payload[0], **payload[1])
        if behind := _behind_models(getattr(task, "__wrapped__", None)):
            behind.bind(*payload[0], **payload[1])
    except TypeError as error:
        return Poison(reason=Reason.WRONG_ARGUMENTS, cause=f"{task.name}: {error}")
    return None


@cache
def _behind_models(function: Callable[..., Any] | None) -> Signature | None:
    """Return what Celery binds the arguments of a task with pydantic models to; its wrapper itself takes any."""
    plain = getattr(function, "__func__", function)
    if function is None or getattr(plain, "__globals__", {}).get("__name__") != _PYDANTIC_CALLER:
        return None
    return signature(function)


@cache
def _is_called_its_own_way(kind: type[Any]) -> bool:
    return not kind.__call__.__module__.startswith(("hive.runtime.", "celery.app."))


def refusal_of(task: str, error: ValidationError) -> ArgumentsRefusedError | None:
    """Return what is said of an error that Celery raised while it made models of a task's arguments.

    Args:
        task: its name.
        error: what was raised.

    Returns:
        None: the task's own code had begun.
    """
    frames: list[FrameType] = []
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    called = pairwise([(frame.f_globals.get("__name__", ""), frame) for frame in frames])
    # The first call that leaves Celery's wrapper: into pydantic, or into the task's own code.
    inner = next((inner for (caller, _), (inner, _) in called if caller == _PYDANTIC_CALLER != inner), "")
    if not inner.startswith("pydantic"):
        return None
    # Its own name for what it is at; the name of the model is all that the error itself knows.
    names = (frame.f_locals.get("arg_name") for frame in frames if frame.f_globals.get("__name__") == _PYDANTIC_CALLER)
    argument = next(filter(None, names), error.title)
    return ArgumentsRefusedError(task, argument, "; ".join(map(_expected, error.errors()[:PROBLEMS])))


def _expected(problem: Any) -> str:
    """Return what a model expected at one place, and the kind of what it got: a value may be a secret."""
    where = ".".join(map(str, problem["loc"]))
    got = "" if problem["type"] == "missing" else f" (got {type(problem['input']).__name__})"
    return f"{where}: {problem['msg']}{got}" if where else f"{problem['msg']}{got}"


def trace_of(error: BaseException) -> str:
    """Return the traceback of an error as text, its last 50 lines at most."""
    lines = "".join(traceback.format_exception(error, chain=False)).splitlines()
    return "\n".join(lines[-50:])
