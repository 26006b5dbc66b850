"""The transport: kombu's Redis transport without its delivery faults.

``install()`` puts it in the place of kombu's for ``redis://``, ``rediss://``, ``redis+socket://`` and ``sentinel://``,
for every connection that this process makes from then on; a stock Celery application gets it too.

What is different from kombu's:

* Nothing is popped from a ready list. A channel waits for a wake token (a hint) and then claims a batch in one script,
  which records what is in flight in the same step.
* The consumer is the process, not the channel (:mod:`hive.transport.consumer`). It outlives connections: when one is
  lost, what has not started goes back to the broker and what runs stays ours, to be acknowledged over the next one.
* A thread keeps the lease (:mod:`hive.transport.lease`) and returns what dead consumers left; the event loop does not
  have to come round for that.
* A delivery tag is a queue and a fencing token, so that an acknowledgement names one delivery. What is owed to the
  broker waits in an outbox (:mod:`hive.transport.outbox`) until the broker has confirmed it.

A channel (:mod:`hive.transport.channel`) claims and delivers; what it rests on has modules of its own: its ``link`` to
the broker, ``publishing``, ``waiting``, ``opening`` what was claimed and ``setting_aside`` what cannot run. So has the
consumer: what it is ``holding``, its channels' ``interest`` in queues, and what it has ``rescheduled``.

A channel's turn, at each turn of the loop or call of ``drain_events``: send what is owed, record the starts that are
due, claim within the credit, deliver.

Not promised: what kombu never promised for fanout messages and for consumers that do not acknowledge.
"""

from hive.transport.install import install

__all__ = ["install"]
