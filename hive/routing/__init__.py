"""Routing: from a task to the queue of a pool, or to the lane of one worker.

The default for a pool is its shared queue, claimed by whoever is free: pulling balances by itself. An explicit ``queue=``
of the caller wins, as it does in Celery; a task without an agent type goes where Celery would send it. All these cost no
decision. A decision is made for what pulling cannot do, by a :class:`~hive.routing.strategy.Strategy`: a value that
chooses by the call, what the workers have said of themselves, the time and chance. It is declared by the task
(``@app.task(routing="least_loaded")``), by its agent type, or follows from the call: a key (``affinity=``) goes to the
worker that had it lately, a ``kind`` without an agent type to a type that can do it.

Workers report their load, and the keys they had last, to the broker every second. Callers read it in the background
(:mod:`hive.routing.snapshots`) and decide by what they have: a decision asks nobody. Figures are a second old, so no
strategy takes the best of all, which would be everybody's best; and each caller counts what it has sent since.

A lane is a second set of ready lists of the queue, for one worker (:mod:`hive.store.lanes`).

=========================================== ========================================================================
what fails                                  what happens
=========================================== ========================================================================
no fresh report (first call, broker away)   the call goes to the shared queue
worker dies                                 with its lease its lane ends: what waits there moves to the shared queue,
                                            and what callers still send there is put into the shared queue
worker stops                                the same, at the beginning of its stop
worker is busy for long                     idle workers steal from its lane what is above ``routing.keep_per_slot``,
                                            and a key begins anew with a worker of less wait
all workers die                             the lane waits for the next worker of the queue, which drains it; publishes
                                            go to the shared queue
=========================================== ========================================================================

Not guaranteed: that a key stays. It moves with its worker's death, when waiting there costs more than a miss, and when it is
stolen; until all callers know of a new key (two seconds), each may begin it elsewhere. Keys of one bucket (of 65,536) go the
same way. Calls that wait for a time or a turn, or that a guard looks at, go to the shared queue. Of every four claims one
begins with the shared queue, so that a busy lane starves nobody.
"""

from hive.routing.affinity import Affinity
from hive.routing.candidates import Call, Decision, Pool, Worker
from hive.routing.capability import Capability
from hive.routing.hybrid import Hybrid
from hive.routing.least_loaded import LeastLoaded
from hive.routing.performance import Performance
from hive.routing.resource_aware import ResourceAware
from hive.routing.round_robin import RoundRobin
from hive.routing.router import Router
from hive.routing.shared_queue import SharedQueue
from hive.routing.strategy import Strategy

__all__ = [
    "Affinity",
    "Call",
    "Capability",
    "Decision",
    "Hybrid",
    "LeastLoaded",
    "Performance",
    "Pool",
    "ResourceAware",
    "RoundRobin",
    "Router",
    "SharedQueue",
    "Strategy",
    "Worker",
]
