"""Finding what answers a query."""

import re

from hive.database.contexts import Context
from hive.database.memories import MemoryDatabase
from hive.memory.ranking import fused

#: Candidates of each list that a search ranks.
CANDIDATES = 60

_WORD = re.compile(r"[^\W_]+")


def search(database: MemoryDatabase, agent: str, query: str, *, limit: int, source: str | None) -> list[Context]:
    """Return the contexts that answer a query best, best first; see :meth:`hive.memory.memory.Memory.search`."""
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(query)))
    lists = [database.find(agent, words, CANDIDATES), database.newest(agent, CANDIDATES)]
    if source is not None:
        lists += [database.find(agent, words, CANDIDATES, source), database.newest(agent, CANDIDATES, source)]
    ids = fused(lists, limit)
    found = {one.id: one for one in database.read(agent, ids=ids)}
    return [found[id_] for id_ in ids if id_ in found]
