"""Guards: what must agree before a task takes a slot, and what it gets where one says no.

A guard answers run, wait or refuse (:class:`~hive.guards.guard.Guard`). The worker asks a task's guards after its message
was read and before it takes a slot (:mod:`hive.runtime.guarding.admission`): one that must wait goes back to the scheduled set of
the broker, uses no attempt and holds no slot meanwhile. One that is refused gives its declared fallback, marked as one, if
it has any.

Circuit breakers, one for each dependency and shared by the fleet (states: :mod:`hive.resilience.breaker`)::

    caller ── allow ──► Circuit ── closed: pass, count here ──────────────── nothing else
                          │  └──── open: refuse ──────────────────────────── nothing else
                          │  └──── probe time: one script, which gives a probe or none
                          └─ every 0.25 s, at once after five failures ────► report: counts there, state back

* A closed breaker costs a caller a look and a count, and the broker nothing. A process that dies takes at most the counts
  of a quarter of a second along.
* The window is on the broker's clock, in ten parts; so is the time of a probe. All processes learn of an opening with their
  next report, so within 0.25 s (1 s where nobody calls) after the report that caused it.
* Probes that are out and probes that were answered are together never more than ``probes`` in one half-open time. A probe has
  a lease, which its process renews however long the call takes; a dead process frees it.
* What counts is the cause: a caller's own mistake (validation, authorisation, poison, a bug) says nothing about the dependency.
* For tasks that declare a breaker all this is in the worker's main process, whatever the pool: children report nothing. A
  breaker around a block counts where the block runs, so in every pool child.

==================================== ================================================================================
what fails                           what happens
==================================== ================================================================================
the broker is away                   each process decides alone from where the breaker stood, and says so: one line in
                                     the log, ``status.source == "local"``, ``hive_worker_local_breakers``
it is back                           its state counts again; what was counted alone is forgotten
a process dies with a probe          the probe is given to another once its lease has ended
the end of a probe cannot be told    it is told with the next report; until then the probe is kept
the reply of a report is lost        its calls may count twice, here and in the breaker of this process alone
a process forks                      the child begins anew, with a thread of its own on first use
==================================== ================================================================================

Limits, counted for the fleet by one script for each operation (arithmetic: :mod:`hive.resilience.limiter`)::

    reserve ──► room in all of them ──► granted: counted in its window, a place held ──► settle ──► release
       │
       └──────► none in one of them ──► nothing is taken; told when to come again ──────► reserve, under the same name

* No sliding window on the broker's clock ever holds more grants than the limit: a window is counted in two hundred slices,
  and a slice counts until all of it has left. At most a two-hundredth of the limit stays unused for it.
* A key costs two hundred small counts at most, however many requests or tokens it grants; a caller that waits, one entry.
* Who finds no room is told his own turn, so nobody polls, and two thirds of all callers ask no more than twice. The line
  moves by what calls really use of their estimates. Who comes anew gets what the line leaves.
* What was reserved and not settled (a process died) counts as reserved until it has left the window. A place of a concurrency
  limit has a lease of 6 s, renewed every 1.5 s: a dead process' places are free again after it.
* For tasks that declare limits the worker's main process reserves, one round trip a task, before a slot is taken; a task
  that waits is a scheduled message. Limits are asked last, as what they grant is used even if the task then does not begin.

==================================== ================================================================================
what fails                           what happens
==================================== ================================================================================
the broker is away                   each process grants ``limits.local_fraction`` of every limit by itself, or nothing
                                     (``limits.when_away``); the log says when that begins and ends
the reply of a reserve is lost       it counts as granted, and nobody uses it; a place ends with its lease
the reply of a settle is lost        it is not repeated: at worst what was reserved counts, not what was used
more is used than was reserved       it counts from then on, over the limit, and later grants wait for it
those who wait never come again      after 20 in a row the line is given up; until then a tenth of the limit is kept for them
the broker's time runs backwards     all that counts, counts from then on for one window more
a process freezes with a place       others may have it after its lease; when it is back, both count
==================================== ================================================================================

Not guaranteed: a limit holds for what is reserved. What a call uses beyond its estimate has happened already. While the
broker is away, more processes than ``1 / local_fraction`` can exceed a limit together.

Of breakers is not guaranteed: between a failure and the next report calls pass that an up-to-date breaker would refuse. Only calls that
end are counted: a dependency that never answers needs a time limit.
"""

from hive.guards.breaker import Breaker, BreakerGuard
from hive.guards.circuit import BreakerStatus
from hive.guards.circuits import Circuits
from hive.guards.fallback import Default, Fallback, LastGood, OtherAgent
from hive.guards.guard import RUN, Answer, Guard, GuardedCall, Verdict
from hive.guards.limits import Limiter, Reservation, WhenAway

__all__ = [
    "RUN",
    "Answer",
    "Breaker",
    "BreakerGuard",
    "BreakerStatus",
    "Circuits",
    "Default",
    "Fallback",
    "Guard",
    "GuardedCall",
    "LastGood",
    "Limiter",
    "OtherAgent",
    "Reservation",
    "Verdict",
    "WhenAway",
]
