"""Monitoring: what happens is visible.

Everything is read from the broker when somebody asks (:class:`hive.store.store.Store` keeps the totals beside each
queue), so figures survive workers and need no collector of their own::

    hive metrics                      all queues once, as Prometheus text
    worker.metrics_port = 9100        each worker serves its own figures and those of its queues there
    Celery events hive-queue,         every ten seconds where a worker sends events (-E)
    hive-worker

Each scrape of a queue costs the broker two round trips. A worker whose port is taken serves on the next free one of
the hundred that follow, so that the ten pools of one machine can share a setting; its log says which.

What speaks Prometheus is in :mod:`hive.monitoring.prometheus`, and not shown here: a worker that serves no port does
without its client.
"""

from hive.monitoring.figures import observe_queue, observe_worker

__all__ = ["observe_queue", "observe_worker"]
