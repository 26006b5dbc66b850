"""What makes a message poison: signals of its form and its fate, never of the words in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# Every message is asked; `list | tuple` would be built anew each time, and the common types come first.
_LISTS = (list, tuple)
_MAPPINGS = (dict, Mapping)
_MAPPINGS_OR_NONE = (dict, type(None), Mapping)
_LISTS_OR_MAPPINGS = (type(None), list, tuple, dict, Mapping)


class Reason(StrEnum):
    """Why a message was set aside."""

    NOT_UTF8 = "not_utf8"
    """Its bytes are no text."""
    NOT_JSON = "not_json"
    """Its text is not JSON."""
    TOO_DEEP = "too_deep"
    """It is nested deeper than ``dead.max_depth``, or than the parser can follow."""
    TOO_LARGE = "too_large"
    """It is over ``delivery.max_message_bytes``."""
    NOT_AN_ENVELOPE = "not_an_envelope"
    """It is JSON, but not what kombu wraps around a message."""
    UNDECODABLE = "undecodable"
    """The envelope is good, its body cannot be decoded."""
    NOT_A_TASK = "not_a_task"
    """The message names no task."""
    INVALID_TASK = "invalid_task"
    """It names a task, but cannot be a call of one: headers or body have the wrong shape."""
    UNKNOWN_TASK = "unknown_task"
    """No worker of the queue knew its task for ``dead.unknown_task_grace_s``."""
    WRONG_ARGUMENTS = "wrong_arguments"
    """The task's function does not take these arguments."""
    WRONG_SCHEMA = "wrong_schema"
    """The arguments are not what the task's pydantic models ask for."""
    POISON = "poison"
    """The task's error means that this message can never be worked on."""
    SAME_FAILURE = "same_failure"
    """Its task failed with the same bug on two different workers."""
    RETRIES_EXHAUSTED = "retries_exhausted"
    """The task failed until its retries were used up, and its retry strategy keeps such messages."""
    SHED = "shed"
    """Its queue held as many messages as its bound allows, and others have a higher priority or came before."""
    MAX_DELIVERIES = "max_deliveries"
    """Its worker died under it, or it ran into its hard time limit, ``delivery.max_deliveries`` times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """Why a message cannot succeed here.

    Attributes:
        reason: the short word.
        cause: a sentence for the operator.
        traceback: where it failed, if something was raised.
    """

    reason: Reason
    cause: str
    traceback: str = ""


def header_problem(headers: Mapping[str, Any]) -> Poison | None:
    """Return what is wrong with the headers of a task message, if Celery would stumble over it."""
    task_id, name, retries = headers.get("id"), headers.get("task"), headers.get("retries")
    if not isinstance(name, str) or not _is_text(name):
        return _invalid("its task's name is not text")
    if not isinstance(task_id, str) or not task_id or not _is_text(task_id):
        return _invalid("its id is not text")
    if not isinstance(retries, int | None):
        return _invalid("its number of retries is not a number")
    return _limits_problem(headers.get("timelimit"))


def _limits_problem(limits: object) -> Poison | None:
    if limits is None or limits == [None, None]:
        return None
    if not isinstance(limits, list | tuple) or len(limits) != 2:
        return _invalid("its time limits are not a pair")
    if not all(isinstance(limit, int | float | None) for limit in limits):
        return _invalid("its time limits are not numbers")
    return None


def body_problem(payload: object) -> Poison | None:
    """Return what is wrong with the decoded body of a task message: arguments, keyword arguments, what follows."""
    if not isinstance(payload, _LISTS) and isinstance(payload, Mapping):
        # Protocol 1, which says everything in its body; Celery looks at that itself.
        return None
    if not isinstance(payload, _LISTS) or len(payload) != 3:
        return _invalid("its body is not a triple of arguments, keyword arguments and what follows")
    args, kwargs, embed = payload
    if not isinstance(args, _LISTS) or not isinstance(kwargs, _MAPPINGS):
        return _invalid("its arguments are not a list and a mapping")
    if not isinstance(embed, _MAPPINGS_OR_NONE):
        return _invalid("what follows it is not a mapping")
    for key in ("callbacks", "errbacks", "chain"):
        if embed and not isinstance(embed.get(key), _LISTS_OR_MAPPINGS):
            return _invalid(f"its {key} are not a list")
    return None


def is_deeper(value: object, limit: int) -> bool:
    """Whether lists and mappings are nested more than ``limit`` deep; never recurses itself."""
    level = _inside([value])
    for _ in range(limit):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return bool(level)


def _inside(value: Any) -> list[Any]:
    found = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [inner for inner in found if isinstance(inner, dict | list | tuple)]


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: no key and no line of a log can hold it.
        return False
    return True


def _invalid(cause: str) -> Poison:
    return Poison(reason=Reason.INVALID_TASK, cause=cause)
