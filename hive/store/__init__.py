"""The only package that talks to Redis: keys, scripts, typed replies.

:class:`~hive.store.store.Store` has one method for each operation, and one ``.lua`` file carries each out in a single
step on the broker. Payloads are bytes that no script reads or rewrites; what a script must know of a message stands
beside it. The catalogue of keys is in :mod:`hive.store.keys`, what a script takes and replies in its own header.

Where a message can be (in one of these places, always)::

    publish ──────────────────────────────► ready ◄──────────────────┐
    schedule ───► scheduled ── promote ──►    │                      │ requeue, reconcile; reject or reap:
                      ▲                       │ claim                │ uncounted, or the count is below the limit
                      │                       ▼                      │
                      └── reschedule ───  in flight ─────────────────┤
                          (retry: a new       │ ▲                    │ reject, reap: one death short of the limit
                          message)            │ └─ claim, alone ─ suspects
                                              │                      │ reject, reap: at the limit; dead_letter
                                finish, retry ▼                      ▼
                                            done                dead letters

Messages with a key (:mod:`hive.store.fairness`) wait *behind* the ready lists before they are ready, and come in turn::

    publish, promote ──► behind ── refill: claim, renew, publish ──► ready, which holds one of them
                           └────── claim, once nothing is ready ───► in flight

The turn of a key comes once a round, or as often as its weight says; within a key the order is kept. A key that was not
waiting passes what the window holds. What goes back (requeue, reap) had its turn: it is ready. A scheduled message waits
for its turn when its time has come. Where messages without a key are ready too, the two alternate, and then one message
may overtake another of its key. Consumers that never acknowledge (``pop``) take what is ready and do not refill.

A message is *parked* while its task waits for a signal or its agent is not awake: it is scheduled then, for a time that a
signal or the agent's wake moves to now (:mod:`hive.store.runs`, :mod:`hive.store.lifecycles`). Parking is one step with the
look whether the signal is there, or the agent awake, so none is missed in between; it counts no start and no death. The
record of a run stands beside its message: steps that ended, the one that began, signals that came early.

Guaranteed:

* A claim takes messages off the ready lists and records them in flight in the same step, so no death between two steps
  loses one. The same sequence number returns the same batch.
* Every later step names consumer and token, and changes nothing unless that consumer is registered and holds that
  delivery. Consumer ids are fresh for each life, so an old pair never names a new delivery.
* Tokens of a queue only grow. They are the broker's microseconds, or the last one plus one if that is more; a server
  with another run id (restart, failover to a replica whose clock is behind) goes on an hour above both. Every claim looks
  at the run id, so there is no window before the first tick; it costs 25 microseconds.
* Deaths are counted only for deliveries whose start was recorded. A message with one death left runs alone: an idle
  process gets nothing but it, nothing else until it has ended, and the script checks both.
* A reap believes an ended lease only if the last look was less than half a lease ago, on the same run of the server and
  not in the future. Otherwise the next look extends all leases by one term.
* A full broker refuses what adds messages that it did not hold (every ``publish``, ``schedule``, the import of dead
  letters) and answers to keep, and nothing else.
* A firing of beat checks the term of who sends it and its due time in the step that publishes: each due time once, whoever
  believes to lead (:mod:`hive.store.leadership`, :mod:`hive.store.beat_entries`).
* A guarded publish looks at its key and its queue's bound in the step that publishes: one task holds a key at a time, and
  no publish raises what waits above the bound. A key that ends with its task is held as long as the record of the message's
  deaths is there, so that a finish gives it back without being told of keys, and a death keeps it.

Not guaranteed: a broker that loses its disk loses what it had. Between :meth:`Store.check` and a write elsewhere a lease
can end. What :meth:`Store.pop` takes has no record. A message's own expiration is in its envelope, so whoever reads that
after the claim drops it. Redis Cluster: a script that takes several queues needs them on one server.

===================================== ================================================================================
what fails                            what happens
===================================== ================================================================================
reply of a claim lost                 the same sequence returns it, or ``reconcile`` hands it back
reply of a start or a finish lost     repeat it: a start is the same again, a finish says ``ALREADY``
reply of a publish lost               repeat it within ``publish_dedup_s``: dropped by its dedup id
worker dies after a next step         the body runs again and publishes it again: ``follow`` drops it by the record
worker dies                           its lease ends, ``tick`` names it, ``reap`` returns all it held in batches
worker frozen past its lease          reaped; all it says afterwards is ``STALE`` and counted as ``refused``
lease ended but nobody reaped         the next renewal revives it: nothing has been given away
reply of a park or a step lost        repeat it: parked it is ``ALREADY``, a step is the same again
worker dies in a step                 the next delivery finds it begun by another token, and unknown
redrive killed, or its reply lost     each batch moved or did not; repeat it: what moved is passed over
broker away, clock set, failover      ``tick`` forgives: every lease extended, nothing counted
broker lost the scripts               loaded and called again; a script that is unknown has not run
broker restored from an old copy      what it forgot runs again; old tokens name nothing
===================================== ================================================================================

Why it is so: claims carry no epoch to be refused on mismatch, because the leap of the tokens already
puts old ones out of reach, and a refusal would take the running tasks of every worker with it. A lease that ended
does not refuse claims until it is reaped, for the same reason after a clock step. Epoch, fence, last look and turn are
fields of one hash, so that scripts take fewer keys.
"""

from hive.store.connection import never_repeating
from hive.store.faults import BatchPublishError, BrokerFullError, BrokerGoneError
from hive.store.keys import FORMAT_VERSION, Layout, QueueKeys
from hive.store.server import check_server
from hive.store.store import Store

__all__ = [
    "FORMAT_VERSION",
    "BatchPublishError",
    "BrokerFullError",
    "BrokerGoneError",
    "Layout",
    "QueueKeys",
    "Store",
    "check_server",
    "never_repeating",
]
