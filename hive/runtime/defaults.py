"""Celery's own settings, built from hive's."""

from collections.abc import Mapping
from typing import Any

from celery.schedules import crontab
from kombu import Exchange, Queue

from hive.agents.types import AgentType
from hive.runtime.address import broker_url
from hive.settings.model import Settings

#: The queue of tasks without an agent type: Celery's own default, so that its producers and workers interoperate.
DEFAULT_QUEUE = "celery"

#: The module with hive's tasks of consolidation, and their queues, one for each job; nobody sends them to a worker's lane.
CONSOLIDATION = "hive.runtime.consolidation_tasks"
CONSOLIDATION_QUEUES = (
    "consolidation.context_compaction",
    "consolidation.index_update",
    "consolidation.broker_cleanup",
    "consolidation.performance_audit",
    "consolidation.database_maintenance",
)

#: Which of them are upkeep, for all agents at once, and when: minute, hour and day of week in the application's time zone.
UPKEEP = {
    "consolidation.broker_cleanup": ("20", "2", "*"),
    "consolidation.database_maintenance": ("40", "3", "*"),
    "consolidation.performance_audit": ("40", "4", "0"),
}

#: Seconds after which upkeep that no worker took is left to the next time.
UPKEEP_EXPIRES_S = 43_200.0

#: Beat that fails over: by name, as Celery takes it, so that only beat loads it.
BEAT_SCHEDULER = "hive.runtime.beat.scheduler:HiveScheduler"


def celery_settings(settings: Settings, types: Mapping[str, AgentType]) -> dict[str, Any]:
    """Return Celery's settings as hive wants them; whatever a user configures wins over each.

    Args:
        settings: hive's settings.
        types: agent types by name, one queue each.
    """
    url = broker_url(settings)
    return {
        "broker_url": url,
        # None: the broker, whichever the application comes to have (see results_url).
        "result_backend": settings.results.backend,
        **_delivery(settings),
        **_serialisation(settings),
        "task_default_queue": DEFAULT_QUEUE,
        "task_queues": queues(types),
        "worker_consumer": "hive.runtime.worker.consuming:HiveConsumer",
        "worker_autoscaler": "hive.runtime.worker.autoscaler:Autoscaler",
        "worker_prefetch_multiplier": settings.worker.prefetch,
        "worker_max_tasks_per_child": settings.worker.max_tasks_per_child or None,
        "worker_max_memory_per_child": settings.worker.max_memory_per_child_mb * 1024 or None,
        "worker_soft_shutdown_timeout": settings.worker.grace_s,
        "worker_send_task_events": True,
        "beat_scheduler": BEAT_SCHEDULER,
        "enable_utc": True,
        "timezone": "UTC",
    }


def upkeep_entries() -> dict[str, dict[str, Any]]:
    """Return entries for ``beat_schedule`` that keep results, archives and databases from growing for ever.

    Their tasks are those of :data:`CONSOLIDATION`, which the application must import; its workers take their queues.
    """
    return {
        queue.removeprefix("consolidation.").replace("_", " "): {
            "task": f"hive.{queue}",
            "schedule": crontab(minute=minute, hour=hour, day_of_week=weekday),
            "options": {"queue": queue, "expires": UPKEEP_EXPIRES_S},
        }
        for queue, (minute, hour, weekday) in UPKEEP.items()
    }


def queues(types: Mapping[str, AgentType]) -> tuple[Queue, ...]:
    """Return Celery's default queue and one queue for each agent type, all on exchanges of their own."""
    pools = (Queue(agent.queue, Exchange("hive", type="direct"), routing_key=agent.queue) for agent in types.values())
    default = Queue(DEFAULT_QUEUE, Exchange(DEFAULT_QUEUE, type="direct"), routing_key=DEFAULT_QUEUE)
    return (default, *pools)


def transport_defaults(settings: Settings) -> dict[str, Any]:
    """Return the transport options that hold where a user's ``broker_transport_options`` do not say otherwise."""
    options: dict[str, Any] = {
        "socket_timeout": settings.broker.socket_timeout_s,
        "socket_connect_timeout": settings.broker.connect_timeout_s,
        "socket_keepalive": True,
    }
    if settings.broker.key_prefix:
        options["global_keyprefix"] = settings.broker.key_prefix
    return options


def _delivery(settings: Settings) -> dict[str, Any]:
    return {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "broker_transport_options": transport_defaults(settings),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
    }


def _serialisation(settings: Settings) -> dict[str, Any]:
    return {
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "result_expires": settings.results.expires_s,
    }
