"""Routing: from a task to the queue of a pool.

The default for a pool is its shared queue, claimed by whoever is free: pulling balances by itself. An explicit
``queue=`` of the caller wins, as it does in Celery; a task without an agent type goes where Celery would send it.
"""

from hive.routing.router import Router

__all__ = ["Router"]
