"""The transport: kombu's Redis transport without its delivery faults.

``install()`` puts it in the place of kombu's for ``redis://``, ``rediss://``, ``redis+socket://`` and ``sentinel://``,
for every connection that this process makes from then on; a stock Celery application gets it too.

What is different from kombu's:

* Nothing is popped from a ready list. A channel waits for a wake token (a hint) and then claims a batch in one script,
  which records what is in flight in the same step. A worker sends the claim along with the wait: the broker carries it out
  when the wait ends, and the message comes in the same reply as the token.
* A task begins once the record of its start is on its way; the reply is read while it runs.
* The consumer is the process, not the channel (:mod:`hive.transport.consumer`). It outlives connections: when one is
  lost, what has not started goes back to the broker and what runs stays ours, to be acknowledged over the next one.
* A thread keeps the lease (:mod:`hive.transport.lease`) and returns what dead consumers left; the event loop does not
  have to come round for that.
* A delivery tag is a queue and a fencing token, so that an acknowledgement names one delivery. What is owed to the
  broker waits in an outbox (:mod:`hive.transport.outbox`) until the broker has confirmed it.

A channel (:mod:`hive.transport.channel`) claims and delivers; what it rests on has modules of its own: its ``link`` to
the broker, ``publishing``, ``waiting``, ``opening`` what was claimed and ``setting_aside`` what cannot run. So has the
consumer: what it is ``holding`` and ``asking``, its channels' ``interest`` in queues, and what it has ``rescheduled``.

A channel's turn, at each turn of the loop or call of ``drain_events``: send what is owed, record the starts that are
due, claim within the credit, deliver.

Why a claim may stand behind a wait: it is a claim like any other, with its number, so nothing is lost with its reply. What
it took for a connection that was lost goes back uncounted: by the next word to the broker, else by the comparison at a
renewal, or with the lease. The cost: a process that is stopped while it waits, or whose host vanishes, may take one batch
more until its lease ends (what it only claimed counts no death). That is what prefetching costs anyway.

Why a task need not wait for the reply to its start: the record is on its way before the task begins, so a task that kills
its worker is counted all the same, and nothing is counted that did not begin, as it would be if a claim recorded starts. What
the reply decides is known beforehand: of a queue in which no message died the claim says so, and a lease that was renewed
less than half a lease ago cannot have been taken away. Where either is not so, the task waits for the reply. If it says
nevertheless that the delivery is another worker's, the task is cancelled as with any lost lease; if it does not come, the
start is recorded with the next word to the broker, and only a worker that dies while its connection is broken leaves one
uncounted.

Not promised: what kombu never promised for fanout messages and for consumers that do not acknowledge.
"""

from hive.transport.install import install

__all__ = ["install"]
