"""The only package that talks SQL: files of SQLite that outlive what Redis holds.

Every call opens its own connection and closes it, so a file may be used by threads, forks and several processes; a
write has reached the disk when the call returns.
"""

from hive.database.archive import ArchivedLetter, LetterArchive

__all__ = ["ArchivedLetter", "LetterArchive"]
