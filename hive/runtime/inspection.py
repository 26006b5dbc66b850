"""Looking at a message before Celery does: whether it can be a call of a task this worker knows."""

import traceback
from collections.abc import Callable, Mapping
from functools import cache
from inspect import Signature, signature
from itertools import pairwise
from types import TracebackType
from typing import Any

from kombu.exceptions import ContentDisallowed, DecodeError
from pydantic import ValidationError

from hive.deadletter.poison import Poison, Reason, body_problem, header_problem, is_deeper

#: What decoding and reading a message of somebody's making may raise.
BROKEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

#: Where Celery makes pydantic models of a task's arguments.
_PYDANTIC_CALLER = "celery.app.base"


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


def is_refused_by_schema(error: ValidationError) -> bool:
    """Whether Celery raised this while it made models of a task's arguments, before the task's own code began."""
    frame: TracebackType | None = error.__traceback__
    names: list[str] = []
    while frame is not None:
        names.append(frame.tb_frame.f_globals.get("__name__", ""))
        frame = frame.tb_next
    called = pairwise(names)
    # The first call that leaves Celery's wrapper: into pydantic, or into the task's own code.
    return next(
        (inner.startswith("pydantic") for caller, inner in called if caller == _PYDANTIC_CALLER != inner), False
    )


def trace_of(error: BaseException) -> str:
    """Return the traceback of an error as text, its last 50 lines at most."""
    lines = "".join(traceback.format_exception(error, chain=False)).splitlines()
    return "\n".join(lines[-50:])
