"""What agents remember: contexts that are appended, searched, forgotten and put back.

>>> from hive.memory import Memory, open_memories
>>> memory = Memory("reviewer-7", open_memories(None, path))  # doctest: +SKIP
>>> memory.append("the build needs GCC 13", source="ticket-12")  # doctest: +SKIP
>>> memory.search("which GCC", source="ticket-12")  # doctest: +SKIP

A context is a message, a tool call or its result, or a fact, with time, author, source, tokens and how often it was used.
Consolidation (:mod:`hive.consolidation`) writes shorter ones and moves the originals into the archive::

    append ──► memory ── consolidation, forget, past a bound ──► archive ── retention ends ──► deleted
                  ▲                                                 │
                  └────────────────── undo, restore ────────────────┘

Guaranteed: what :meth:`Memory.append` returned an id for is in the memory or in the archive, whatever is killed; what comes
back comes back byte for byte, under its old id. Contexts that only left because a bound was reached are archived without end.

Search asks for any of the words and joins rankings by reciprocal rank fusion: how well the words fit (BM25; in PostgreSQL
``ts_rank_cd``, which does not know how rare a word is) and the latest contexts, in the whole memory and in the source it is
asked in. Ranks rather than scores are joined, so no weight has to be tuned to a data set.

Tokens are counted by ``tiktoken`` where a model is named and its vocabulary is on this machine, else they are estimated
(:func:`~hive.memory.tokens.estimated_tokens` says how).

Not guaranteed: bounds are looked at every sixty-fourth context, so a memory may be larger for a while. A file of SQLite lies
on one host.
"""

from hive.database.contexts import Context, ContextKind
from hive.database.memories import ArchivedContext, MemorySize
from hive.memory.memory import Memory
from hive.memory.opening import open_memories
from hive.memory.tokens import estimated_tokens, token_counter

__all__ = [
    "ArchivedContext",
    "Context",
    "ContextKind",
    "Memory",
    "MemorySize",
    "estimated_tokens",
    "open_memories",
    "token_counter",
]
