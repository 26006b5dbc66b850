"""The only package that talks SQL: what outlives Redis, in a file of SQLite or in PostgreSQL.

* dead letters that left the broker: :class:`~hive.database.archive.LetterArchive`, setting ``dead.archive_url``
* checkpoints of agents: :class:`~hive.database.checkpoints.CheckpointDatabase`, ``checkpoints.database_url``
* what agents remember, what left their memories, runs of consolidation, an index of words:
  :class:`~hive.database.memories.MemoryDatabase`, ``memory.database_url``

Guaranteed, for each of them: threads, forks and several processes may use it at once; what is written has reached the disk
when the call returns; a change is one transaction, so a kill leaves all of it or nothing; what was kept comes back byte for
byte. What goes wrong is an ``ArchiveError`` (dead letters) or a ``DatabaseError`` (the others), whatever is behind it.

Archives of dead letters open a connection for each call. The other two keep a few between calls, and their tables grow by
steps: in :mod:`hive.database.migrations` for PostgreSQL, beside the statements for SQLite.

Not guaranteed: a file of SQLite lies on one host, so a fleet on several has several; PostgreSQL is one for all of them.

SQL is written out for each database rather than made from one text: what is alike is short, and what differs (locks, full
text search, giving room back) is what has to be read. One suite of tests runs over both (``tests/conformance``).
"""

from hive.database.archive import ArchivedLetter, ArchiveError, LetterArchive
from hive.database.checkpoints import CheckpointDatabase, DatabaseError
from hive.database.memories import MemoryConflictError, MemoryDatabase
from hive.database.opening import open_archive
from hive.database.postgres_archive import PostgresArchive
from hive.database.sqlite_archive import SqliteArchive

__all__ = [
    "ArchiveError",
    "ArchivedLetter",
    "CheckpointDatabase",
    "DatabaseError",
    "LetterArchive",
    "MemoryConflictError",
    "MemoryDatabase",
    "PostgresArchive",
    "SqliteArchive",
    "open_archive",
]
