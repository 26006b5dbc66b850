"""The contexts that a compaction writes, and which earlier ones they replace."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from hive.database.contexts import COMPACTED, Context


class Drafts:
    """Contexts in the making. One that is replaced before it was ever kept is simply not written."""

    def __init__(self) -> None:
        self._made: dict[int, Context] = {}
        self._by_subject: dict[str, set[int]] = defaultdict(set)
        self._by_text: dict[str, int] = {}
        self._used: dict[int, int] = {}
        #: They have no ids yet: numbers below zero.
        self._last = 0

    def know(self, context: Context) -> None:
        """Tell of a context that is in the memory already."""
        for subject in context.subject.splitlines():
            self._by_subject[subject].add(context.id)
        if context.kind in COMPACTED:
            self._by_text[context.text] = context.id
            self._used[context.id] = context.used_count

    def supersede(self, subjects: Iterable[str]) -> list[int]:
        """Take out what is about one of these subjects; returns the ids of those that were in the memory."""
        old = {number for subject in subjects for number in self._by_subject.pop(subject, ())}
        for number in old:
            self._made.pop(number, None)
        return sorted(number for number in old if number > 0)

    def add(self, draft: Context) -> int:
        """Write a context; returns the id of the one in the memory that says the same, which it replaces, or 0."""
        same = self._by_text.get(draft.text, 0)
        if same:
            before = self._made.pop(same, None)
            used = before.used_count if before is not None else self._used.get(same, 0)
            draft = replace(draft, used_count=used + 1)
        self._last -= 1
        number = self._last
        self._made[number] = draft
        self._by_text[draft.text] = number
        for subject in draft.subject.splitlines():
            self._by_subject[subject].add(number)
        return max(same, 0)

    def all(self) -> tuple[Context, ...]:
        """Return what is to be written, in order of time."""
        return tuple(self._made.values())
