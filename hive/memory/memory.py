"""The memory of one agent."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from hive.clock import Clock, SystemClock
from hive.database.contexts import Context, ContextKind
from hive.database.memories import BOUNDS, FORGOTTEN, ArchivedContext, MemoryDatabase, MemorySize
from hive.errors import InputError
from hive.memory.search import search
from hive.memory.tokens import TokenCounter, estimated_tokens
from hive.settings.agent_state import MemorySettings

#: Appended contexts between two looks at the bounds: a look reads the memory's size.
LOOK_EVERY = 64

#: Never deleted by age: what left a memory only because the memory was full.
FOREVER_MS = 2**62


class Memory:
    """What an agent remembers. Any number of processes may use the same agent's memory.

    Args:
        agent: the agent's name.
        database: where it is kept.
        settings: bounds, and how long what left can be put back.
        count_tokens: counts the tokens of a text.
        clock: where time comes from.

    Raises:
        InputError: the agent has no name.
    """

    def __init__(
        self,
        agent: str,
        database: MemoryDatabase,
        *,
        settings: MemorySettings | None = None,
        count_tokens: TokenCounter = estimated_tokens,
        clock: Clock | None = None,
    ) -> None:
        if not agent:
            raise InputError("a memory needs the name of its agent")
        self.agent = agent
        self._database = database
        self._settings = settings or MemorySettings()
        self._count_tokens = count_tokens
        self._clock = clock or SystemClock()

    def append(
        self, text: str, *, kind: ContextKind = ContextKind.MESSAGE, author: str = "user", source: str = ""
    ) -> int:
        """Remember something and return its id; a repeat remembers it twice, until consolidation.

        Args:
            text: what was said; the arguments of a call are JSON.
            kind: what it is.
            author: a role (``user``, ``assistant``, ``system``), the tool of a call or result, or a name.
            source: the conversation or run it belongs to.

        Raises:
            InputError: the text is none, or cannot be written as UTF-8, or the kind is none.
            DatabaseError: it cannot be written, and was not.
        """
        return self.append_all([Context(kind=kind, text=text, author=author, source=source)])[0]

    def append_all(self, contexts: Iterable[Context]) -> list[int]:
        """Remember several things in one step, all or none; time and tokens are filled in where they are 0.

        Raises:
            InputError: a text is none, or cannot be written as UTF-8, or a name holds a zero byte.
            DatabaseError: they cannot be written, and were not.
        """
        contexts = list(contexts)
        for one in contexts:
            _require_text(one)
        now_ms = self._clock.wall_ms()
        ids = self._database.append(
            self.agent,
            [
                replace(
                    one,
                    at_ms=one.at_ms or now_ms,
                    token_count=one.token_count or self._count_tokens(one.text),
                )
                for one in contexts
            ],
        )
        if any(id_ % LOOK_EVERY == 0 for id_ in ids):
            self.keep_bounds()
        return ids

    def search(
        self, query: str, *, limit: int = 10, source: str | None = None, counts_use: bool = True
    ) -> list[Context]:
        """Return the contexts that answer a query best, best first, and count a use of each.

        What is ranked high by its words and is recent comes first; with a source, so does what belongs to it, but
        other sources are not left out.

        Args:
            query: words in any order; none of them must be there.
            limit: how many are returned at most.
            source: the conversation that the query is asked in.
            counts_use: whether what is found is of use to the agent; not so where somebody only looks.

        Raises:
            DatabaseError: it cannot be read.
        """
        found = search(self._database, self.agent, query, limit=limit, source=source)
        if counts_use:
            self._database.use(self.agent, [one.id for one in found])
        return found

    def contexts(
        self,
        *,
        ids: Collection[int] | None = None,
        kinds: Collection[ContextKind] | None = None,
        source: str | None = None,
        limit: int | None = None,
    ) -> list[Context]:
        """Return contexts, oldest first: all, or those that meet every condition given.

        Raises:
            DatabaseError: they cannot be read.
        """
        return self._database.read(self.agent, ids=ids, kinds=kinds, source=source, limit=limit)

    def archived(self, limit: int | None = None) -> list[ArchivedContext]:
        """Return what left the memory and can be put back, oldest first."""
        return self._database.archived(self.agent, limit=limit)

    def forget(self, ids: Collection[int]) -> int:
        """Take contexts out of the memory; :meth:`restore` puts them back until the retention ends.

        Returns:
            How many were there; a repeat forgets nothing more.
        """
        until_ms = self._clock.wall_ms() + round(self._settings.retention_s * 1000)
        return self._archive(self._database.read(self.agent, ids=ids), FORGOTTEN, "forgotten", until_ms)

    def restore(self, ids: Collection[int]) -> int:
        """Put contexts back as they stood; returns how many were in the archive. A repeat restores nothing more.

        What consolidation took out comes back by undoing its run, with what it wrote taken out.
        """
        return self._database.put_back(self.agent, ids)

    def size(self) -> MemorySize:
        """Return how large the memory is."""
        return self._database.size(self.agent)

    def keep_bounds(self) -> int:
        """Move the oldest contexts past the bounds of count, bytes and age into the archive, for good.

        Returns:
            How many left. Appending does this at about every sixty-fourth context.
        """
        settings, size, now_ms = self._settings, self.size(), self._clock.wall_ms()
        oldest_ms = now_ms - round(settings.max_age_s * 1000)
        if size.count <= settings.max_count and size.bytes <= settings.max_bytes and size.oldest_at_ms >= oldest_ms:
            return 0
        count, size_bytes = size.count, size.bytes
        gone: dict[str, list[Context]] = {"count": [], "bytes": [], "age": []}
        for one in sorted(self._database.read(self.agent), key=lambda context: (context.at_ms, context.id)):
            reason = _past(settings, count, size_bytes, is_old=one.at_ms < oldest_ms)
            if reason is None:
                break
            gone[reason].append(one)
            count, size_bytes = count - 1, size_bytes - len(one.text.encode(errors="replace"))
        return sum(self._archive(contexts, BOUNDS, reason, FOREVER_MS) for reason, contexts in gone.items())

    def _archive(self, contexts: Sequence[Context], run: str, reason: str, until_ms: int) -> int:
        if contexts:
            dropped = {one.id: reason for one in contexts}
            self._database.replace(self.agent, run, [], dropped, at_ms=self._clock.wall_ms(), until_ms=until_ms)
        return len(contexts)


def _require_text(context: Context) -> None:
    if not isinstance(context.text, str) or not isinstance(context.kind, ContextKind):
        raise InputError(f"a context is a text of a ContextKind, not {context.text!r:.80} of {context.kind!r:.80}")
    try:
        f"{context.text}{context.author}{context.source}".encode()
    except UnicodeEncodeError as error:
        raise InputError(f"a context's text cannot be written as UTF-8: {error}") from error
    if "\0" in context.author + context.source:
        raise InputError("a context's author and source hold no zero bytes")


def _past(settings: MemorySettings, count: int, size_bytes: int, *, is_old: bool) -> str | None:
    if count > settings.max_count:
        return "count"
    if size_bytes > settings.max_bytes:
        return "bytes"
    return "age" if is_old else None
