"""Checkpoints: the state of agents, which outlives their tasks, their workers and the broker.

A checkpoint is an agent's state at one instant: bytes or a JSON value, compressed, sealed by digests, and encrypted if
there is a key. A database keeps some of each agent, by generation; the broker keeps the newest for a while::

    write    look at both heads: generation + 1, is the fencing token old?
               │ compress, encrypt, seal
               ▼
             one transaction: head moved if it is still the same, row added, old rows removed   ── committed
               │
               ▼
             broker: head and record, unless a newer one is there

    read     head of the database ── head and record of the broker, in one round trip
               ├─ the record is the newest generation and valid ──────────────► returned
               └─ else the newest valid of three generations of the database ──► returned, the broker gets it

Guaranteed:

* What ``write`` has returned is on disk (SQLite: write-ahead log, ``synchronous=FULL``; PostgreSQL: ``synchronous_commit``).
  A death at any point leaves the checkpoint before or the new one, never a part of it.
* A write with an older fencing token than the newest seen is refused with ``StaleCheckpointError``, and changes nothing;
  head and row change in one transaction that compares the head, so two writers cannot both have passed.
* A read never returns an older generation as if it were the newest: ``is_newest`` is false, ``damaged`` says what is wrong,
  and so does the log. The head has a seal, each header names its agent and generation, and each body has a digest in its
  header, so a row that is changed, gone, or under another's name shows.
* The broker may be emptied, full or away: reads go to the database, writes are committed without it.
* Nothing is pickled.

Not guaranteed: damage of several places at once that hides an agent altogether (head, rows, and the broker's copy). A
file of SQLite serves one host: agents that move need PostgreSQL; where two hosts have a file each, the broker's head tells
that the other one has something newer, for ``keep_s`` at most. A digest finds damage, not forgery: for that there are keys
(AES-GCM, the body bound to its header); they hide states, not names, labels, sizes and times. A connection to PostgreSQL lost in a commit leaves it open whether the write
counts; written once more it is one generation more. An operator's write without a token is not fenced.

===================================== ================================================================================
what fails                            what happens
===================================== ================================================================================
writer dies before the commit         nothing is there; a later read says nothing of it
writer dies after the commit          it counts; the broker has an older one, which no read takes for the newest
broker emptied, full or away          read from the database; ``is_cached`` is false
record or head on the broker damaged  reported, removed there, read from the database
newest row damaged or missing         reported; an older one of the newest three, marked as such
head in the database damaged          reported; the rows say which is the newest, the next write makes it anew
all three damaged                     ``CheckpointDamagedError``; older ones can be read by generation
key missing                           ``CheckpointKeyError``: that is no damage, so no older one is read instead
===================================== ================================================================================

Why it is so: the database is asked at every read, although it costs a query, because the broker alone cannot know that it
has missed a write. The forgotten keep a head without checkpoints for ``keep_s``, so that a slow reader cannot bring one
back on the broker. Reads look at three generations, because an agent that resumes far behind does harm that somebody
should decide on. The seal of a header is apart from the digest of its body, so that listing reads no bodies.

A write of 1 MB waits for one flush. SQLite's log is moved into its file by a thread (:mod:`hive.database.sqlite_log`), and a
write does not write over the generation that it removes: its bytes stay in free room of the file until the next ones take it.
``forget``, ``prune`` and ``reencrypt`` do write over what they remove. The record goes to the broker by itself and is put in its
place by a script that does not hold it, because Lua's copies of 1 MB held up the broker for 2 ms.

Bytes on disk are described in :mod:`hive.checkpoints.record`. :mod:`hive.checkpoints.langgraph` is LangGraph's
checkpointer on a store (extra ``langgraph``); nothing else imports it.
"""

from hive.checkpoints.checkpoint import Checkpoint, CheckpointInfo, Damage, Kind, Listing, Source
from hive.checkpoints.opening import open_checkpoints
from hive.checkpoints.schema import StateSchema
from hive.checkpoints.store import CheckpointStore

__all__ = [
    "Checkpoint",
    "CheckpointInfo",
    "CheckpointStore",
    "Damage",
    "Kind",
    "Listing",
    "Source",
    "StateSchema",
    "open_checkpoints",
]
