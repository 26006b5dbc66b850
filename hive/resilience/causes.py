"""Why a task failed: one of nine causes, found by the error's type and never by the words in its message.

An error's own class is looked up first, then the class it inherits from, and so on: the nearest known class decides. At
each class the user's table is asked before hive's, so that an entry for the very class wins, while one for a general
class (``Exception``) only takes what hive does not know more precisely. Before any class but the error's own stands the
HTTP status, where the error carries one. What is still unknown has the cause of the error it was raised from
(``raise ... from error``), else it is a bug.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from hive.resilience.known_errors import BY_ERRNO, BY_NAME, BY_STATUS


class Cause(StrEnum):
    """Why an attempt failed."""

    NETWORK = "network"
    """The way to another system is broken: refused, reset, no address."""
    TIMEOUT = "timeout"
    """No answer in time, or the task's own soft limit."""
    RATE_LIMIT = "rate_limit"
    """Another system wants fewer calls; it may have said until when."""
    RESOURCE = "resource"
    """Something is used up here: memory, disk, file descriptors."""
    VALIDATION = "validation"
    """The input is wrong; it will be as wrong the next time."""
    DEPENDENCY = "dependency"
    """Another system answered, with an error of its own or with something malformed."""
    AUTHORISATION = "authorisation"
    """Not allowed: a key, a password, a right is missing."""
    POISON = "poison"
    """The message itself cannot be worked on."""
    BUG = "bug"
    """Anything else that the code raises."""


#: Another attempt with the same input and the same rights fails the same way.
NOT_RETRIED = frozenset({Cause.VALIDATION, Cause.AUTHORISATION, Cause.POISON})

#: Classes (or their qualified names, ``package.module.Class``) with the cause they stand for.
CauseTable = Mapping[type[BaseException] | str, Cause | str]

#: How far a chain of ``raise ... from`` is followed; it can be a ring.
_CHAIN = 10


def classify(error: BaseException, table: CauseTable | None = None) -> Cause:
    """Return the cause of an error.

    Args:
        error: what was raised.
        table: the user's classes or qualified class names, with their causes.

    Raises:
        ValueError: the table names a cause that is none.
    """
    own = {_name(key): Cause(cause) for key, cause in (table or {}).items()}
    chain = list(_chain(error))
    for link in chain:
        cause = _known(link, own)
        if cause is not None:
            return cause
    return Cause.BUG


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status (400 to 599) an error or its response carries, or ``None``."""
    response = getattr(error, "response", None)
    for owner in (error, response):
        for name in ("status_code", "status", "code"):
            found = getattr(owner, name, None)
            if isinstance(found, int) and not isinstance(found, bool) and 400 <= found <= 599:
                return int(found)
    return None


def _known(error: BaseException, own: Mapping[str, Cause]) -> Cause | None:
    classes = [_name(cls) for cls in type(error).__mro__]
    if classes[0] in own:
        return own[classes[0]]
    if isinstance(error, BaseExceptionGroup):
        return _of_group(error, own)
    status = status_of(error)
    if status is not None:
        return Cause(BY_STATUS.get(status, "validation" if status < 500 else "dependency"))
    for name in classes:
        if name == "builtins.OSError" and name not in own and getattr(error, "errno", None) in BY_ERRNO:
            return Cause(BY_ERRNO[error.errno])  # type: ignore[attr-defined]
        found = own.get(name) or BY_NAME.get(name)
        if found is not None:
            return Cause(found)
    return None


def _of_group(group: BaseExceptionGroup[Any], own: Mapping[str, Cause]) -> Cause | None:
    """Return the one that keeps a group from being retried, else that of its first error."""
    causes = [_known(error, own) or Cause.BUG for error in group.exceptions]
    return next((cause for cause in causes if cause in NOT_RETRIED), causes[0])


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__


def _name(key: type[BaseException] | str) -> str:
    return key if isinstance(key, str) else f"{key.__module__}.{key.__qualname__}"
