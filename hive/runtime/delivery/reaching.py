"""Whether the broker can be reached, asked before a producer waits for it."""

from typing import Any

from kombu.exceptions import OperationalError


def require_broker(app: Any, connection: Any) -> None:
    """Connect, if that was not done yet, with the patience of a publish; a connection that is up costs nothing.

    Celery subscribes to a task's result before it publishes the task, and tries that for twenty seconds.

    Args:
        app: whose settings say how often to try (``task_publish_retry``, ``task_publish_retry_policy``).
        connection: of the producer.

    Raises:
        OperationalError: kombu's, as a publish raises it; the sentence says what to do.
    """
    policy = app.conf.task_publish_retry_policy if app.conf.task_publish_retry else {}
    try:
        connection.ensure_connection(
            max_retries=policy.get("max_retries", 1) or 1,
            interval_start=policy.get("interval_start", 0),
            interval_step=policy.get("interval_step", 0.2),
            interval_max=policy.get("interval_max", 0.2),
        )
    except OperationalError as exc:
        raise OperationalError(
            f"no broker answers at {app.connection_for_write().as_uri()} ({exc}): start it (`hive up` runs one on this machine), or "
            "correct its address (HIVE_BROKER_URL, or broker= of the application)"
        ) from exc
