"""Dead letters: what is set aside, why, and how it goes back.

A message that cannot succeed is never dropped: it lies in its queue's dead letters on the broker, with reason, cause,
traceback, the end of every delivery and its raw bytes, until an operator redrives it, or until it is one of the oldest
past a bound and goes to the archive, a SQLite file under ``home`` or a table in PostgreSQL::

    in flight ──set aside, third death──► dead letters ──redrive──► ready (same id, same bytes, starts counted anew)
                                           │   ▲   │
                        past count, bytes  │   │   └─purge──► gone, counted
                        or age, oldest     ▼   │ import
                                         archive

Guaranteed:

* One script moves a batch of a redrive: killed at any point, no letter is lost or doubled, and the same command again
  moves the rest. A letter that fails again comes back with both histories.
* A letter is removed from the broker only after the archive has it on disk. Two hosts that archive at the same
  time may both have written it; the counter ``archived`` counts it once.
* Only form and fate make a message poison (:mod:`hive.deadletter.poison`), never the words in it.
* Who reads the failure of a task that condemned its own message finds the letter: one script writes both, where results are
  on the broker and nothing follows from the failure (:mod:`hive.runtime.results.condemning`).
* Nobody waits for a dead letter: its result, its chord, its chain and its errbacks end with a failure that names it
  (:mod:`hive.runtime.results.dead_results`). Whichever worker looks next is handed the letter for half a minute, and another one
  after it if that worker dies before it says that it has told everybody. It is not the reaper's duty, because a reaper
  is a lease thread, which must not wait for result backends and errbacks.

Not guaranteed: that a redriven task runs. Its deadline and the retries it has had are part of its bytes: past the one
it ends at once, of the others it has what is left, unless it is redriven afresh (:mod:`hive.deadletter.history`). The
event of an arrival is sent again if a worker dies between telling and saying so. A letter is archived only once
everybody who waits was told: while a result backend is away, those past the bounds stay. A task that refuses its own
arguments tells of it itself; where its worker dies right between, only the letter tells. The archive lies on the host
of the worker that archived. Letters of identical bytes that name no message share a history.

Fingerprints group letters by reason, task and cause, numbers and addresses aside: ten thousand of a kind are one line.
"""

from hive.deadletter.letter import Letter
from hive.deadletter.letters import DeadLetters
from hive.deadletter.poison import Poison, Reason
from hive.deadletter.selection import Selection

__all__ = ["DeadLetters", "Letter", "Poison", "Reason", "Selection"]
