"""The only package that talks SQL: archives that outlive what Redis holds, in a file of SQLite or in PostgreSQL.

Every call opens its own connection and closes it, so an archive may be used by threads, forks and several processes; a
write has reached the disk when the call returns. What goes wrong is an ``ArchiveError``, whatever is behind it.

A file of SQLite lies on the host of the worker that archived, so a fleet on several hosts has several; PostgreSQL is one
for all of them (``dead.archive_url``).

What agents remember is kept by :mod:`~hive.database.memories`, in either: contexts, the archive of those that left a memory,
runs of consolidation, and an index of words. A step that takes contexts out and writes others in is one transaction, so a
kill leaves all of it or nothing; texts come back byte for byte.
"""

from hive.database.archive import ArchivedLetter, ArchiveError, LetterArchive
from hive.database.opening import open_archive
from hive.database.postgres import PostgresArchive
from hive.database.sqlite import SqliteArchive

__all__ = [
    "ArchiveError",
    "ArchivedLetter",
    "LetterArchive",
    "PostgresArchive",
    "SqliteArchive",
    "open_archive",
]
