"""The runtime: the only package that knows Celery's application.

``Hive`` is ``celery.Celery`` with other defaults, a task class that knows its agent type, a router behind the user's
own routes, and hive's transport in place of kombu's for Redis addresses. Nothing a Celery user knows is taken away:
every argument of ``Celery`` is taken, and whatever the user configures wins over hive's defaults.

The application, the task class and what they are configured by stand in this package itself; the rest in these, from the
top down:

=============== ====================================================================================
supervision     hives on one machine, and fleets: the supervisor and its parts, the fleet's scaler
rest            the scheduler of agents' sleep
beat            beat that fails over, and the schedule that changes at run time
worker          a worker process: consumer, gate before the pool, lanes, size, bounds
guarding        what is asked before a task takes a slot
agents          agents put to sleep and woken, and their checkpoints
retrying        what follows a failure
results         results, by the holder of the delivery only; fallbacks and dead letters' results
durable         steps and waits of durable tasks
calling         options of a call, its destination, its message
delivery        the call that a message holds, and the fence around it
=============== ====================================================================================

Celery's own settings stand in one place, :mod:`hive.runtime.defaults`, as a function of hive's typed settings; the
file ``celeryconfig.py`` of a deployment is that function's result and the beat schedule. (They cannot stand only in
that file: an application that merely imports ``Hive`` has no such file, or has one of its own.)

Running a hive on one machine. Commands with the same home (``HIVE_HOME``) share one hive: the embedded broker, which the
first of them starts, and at most one supervisor, which forks the pools from one imported application, so that ten pools
share most of their memory. Who lives is told by locks that the kernel frees with their holder's death: nothing stale is
ever cleaned up.

================================ =========================================================================
what dies                        what happens
================================ =========================================================================
a pool, beat or Flower           started again after 0.5 s, doubling to ``fleet.restart_max_s``
the embedded broker              started again likewise, with what is on disk; workers connect again
the supervisor (SIGKILL)         its parts notice at once and stop warmly; the broker stays
whoever called ensure_running    the hive started for it ends, unless others use it; they end it then
the machine                      the broker's append-only file holds all but the last second
================================ =========================================================================

``hive up`` ends the broker only if it started it; ``hive worker`` and the like leave it running; ``hive down`` ends all.
"""
