"""Retries of coroutines: Celery's wrapper for `autoretry_for` sees a coroutine returned, never the error it raises.

The task's retry strategy comes after `autoretry_for`, as it does for plain functions.
"""

from typing import Any

from celery.exceptions import Ignore, Reject, Retry
from celery.utils.time import get_exponential_backoff_interval


def is_retried(task: Any, error: BaseException) -> bool:
    """Whether the task's options or its strategy have a say in what follows ``error``."""
    if isinstance(error, Ignore | Reject | Retry):
        return False
    return getattr(task, "retry_strategy", None) is not None or _is_named(task, error)


def _is_named(task: Any, error: BaseException) -> bool:
    refused = tuple(getattr(task, "dont_autoretry_for", ()))
    return isinstance(error, tuple(getattr(task, "autoretry_for", ()))) and not isinstance(error, refused)


def retry(task: Any, error: Exception) -> Exception:
    """Schedule the task again and return what stands for its outcome.

    That is a Retry; or ``error`` itself, or what Celery raises in its place, when there were enough retries or the
    strategy has none; or a Reject when the retry could not be published.
    """
    if not _is_named(task, error):
        answer: Exception = task.answer_failure(error)
        return answer
    try:
        return _schedule(task, error)
    except Exception as outcome:
        return outcome


def _schedule(task: Any, error: Exception) -> Exception:
    options = dict(getattr(task, "retry_kwargs", {}))
    backoff = float(getattr(task, "retry_backoff", False))
    if backoff:
        options["countdown"] = get_exponential_backoff_interval(
            factor=int(max(1.0, backoff)),
            retries=task.request.retries,
            maximum=int(getattr(task, "retry_backoff_max", 600)),
            full_jitter=getattr(task, "retry_jitter", True),
        )
    if hasattr(task, "override_max_retries"):
        options["max_retries"] = task.override_max_retries
    try:
        scheduled: Exception = task.retry(exc=error, **options)
    finally:
        if hasattr(task, "override_max_retries"):
            del task.override_max_retries
    return scheduled
