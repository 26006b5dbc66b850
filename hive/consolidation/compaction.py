"""Context compaction: what of an agent's contexts is kept, in how few tokens."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from hive.consolidation.drafts import Drafts
from hive.consolidation.prose import Kept, Prose
from hive.consolidation.records import Exchange, exchanges, lines, prose
from hive.consolidation.rules import Rules
from hive.database.contexts import COMPACTED, Context, ContextKind

#: Summaries of earlier runs, the latest, that are looked through for near-duplicates: all of them would take minutes.
RECENT = 1_000


class Reason(StrEnum):
    """Why a context is no longer in the memory as it was."""

    #: Another says the same, word for word.
    DUPLICATE = "duplicate"
    #: A later result of the same call, or a later state of the same record, is there.
    SUPERSEDED = "superseded"
    #: It says nothing that is not there already, or nothing worth its tokens.
    RESTATED = "restated"
    #: What it says is written shorter.
    REWRITTEN = "rewritten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What is to be written, and what leaves the memory for it.

    Attributes:
        drafts: new contexts, in order of time, without ids and tokens.
        dropped: ids of contexts that leave, each with its reason; all that was fresh is among them.
    """

    drafts: tuple[Context, ...]
    dropped: Mapping[int, Reason]


def compact(fresh: Sequence[Context], known: Iterable[Context], rules: Rules | None = None) -> Compaction:
    """Decide what is kept of contexts; nothing is read but them, and none is judged by what was said after it.

    Args:
        fresh: contexts that were never compacted, in order of time.
        known: what is in the memory otherwise; of that a record is dropped where a fresh one replaces it.
        rules: how much to keep.
    """
    writer = _Writer(known, rules or Rules(), {one.source for one in fresh})
    for _, contexts in groupby(sorted(fresh, key=lambda one: (one.source, one.id)), key=lambda one: one.source):
        writer.write(list(contexts))
    return Compaction(drafts=writer.drafts.all(), dropped=writer.dropped)


class _Writer:
    """Writes one source after the other, and knows what was said before in each."""

    def __init__(self, known: Iterable[Context], rules: Rules, sources: Collection[str]) -> None:
        self.dropped: dict[int, Reason] = {}
        self.drafts = Drafts()
        self._rules = rules
        self._prose = Prose(rules, sources)
        recent: deque[Context] = deque(maxlen=RECENT)
        for one in known:
            self.drafts.know(one)
            if one.kind in COMPACTED:
                self._prose.know(one)
            if one.kind is ContextKind.SUMMARY:
                recent.append(one)
        self._prose.compare_with(recent)

    def write(self, contexts: Sequence[Context]) -> None:
        """Compact the contexts of one source."""
        done = {one.contexts[-1].id: one for one in exchanges(contexts)}
        pack: list[Kept] = []
        for one in contexts:
            if one.author == "system" or one.kind is ContextKind.FACT:
                # Instructions are obeyed, not remembered: word for word, or not at all.
                self.dropped[one.id] = Reason.REWRITTEN
                self._keep(_draft(ContextKind.SUMMARY, one.text, [one]))
            elif one.kind in {ContextKind.CALL, ContextKind.RESULT}:
                pack.extend(self._exchange(done.get(one.id)))
            else:
                kept = self._prose.kept(one, one.author or one.kind.value, one.text)
                self.dropped[one.id] = Reason.REWRITTEN if kept else Reason.RESTATED
                pack.extend(kept)
            if sum(len(each.sentence) for each in pack) > self._rules.summary_chars:
                self._summarise(pack)
                pack = []
        self._summarise(pack)

    def _exchange(self, exchange: Exchange | None) -> list[Kept]:
        """Write the record of a call and its result; returns what is kept of the prose in its arguments."""
        if exchange is None:
            return []
        last = exchange.contexts[-1]
        thoughts = [kept for text in prose(exchange) for kept in self._prose.kept(last, exchange.tool, text)]
        written = lines(exchange)
        for one in exchange.contexts:
            self.dropped[one.id] = Reason.REWRITTEN if written or thoughts else Reason.RESTATED
        subjects = list(exchange.subjects())
        for old in self.drafts.supersede(subjects):
            self.dropped[old] = Reason.SUPERSEDED
        for text in self._parts(exchange.tool, written):
            self._keep(_draft(ContextKind.RECORD, text, exchange.contexts, exchange.tool, "\n".join(subjects)))
        self._prose.learn(last.source, "\n".join(written))
        return thoughts

    def _parts(self, tool: str, written: Sequence[str]) -> list[str]:
        """Return the lines of a record as the texts of one context or, if they are many, of several."""
        parts: list[str] = []
        for line in written:
            if parts and len(parts[-1]) + len(line) <= self._rules.record_chars:
                parts[-1] += f"\n{line}"
            else:
                parts.append(f"{tool}: {line}" if parts else line)
        return parts

    def _summarise(self, pack: Sequence[Kept]) -> None:
        if not pack:
            return
        said = [f"{speaker}: {' '.join(one.sentence for one in kept)}" for speaker, kept in groupby(pack, _speaker)]
        text = "\n".join(said)
        if self._rules.summarizer is not None:
            shorter = self._rules.summarizer(text)
            text = shorter if 0 < len(shorter) < len(text) else text
        self._keep(_draft(ContextKind.SUMMARY, text, list({one.context.id: one.context for one in pack}.values())))

    def _keep(self, draft: Context) -> None:
        same = self.drafts.add(draft)
        if same:
            self.dropped[same] = Reason.DUPLICATE


def _speaker(kept: Kept) -> str:
    return kept.speaker


def _draft(kind: ContextKind, text: str, origins: Sequence[Context], author: str = "", subject: str = "") -> Context:
    return Context(
        kind=kind,
        text=text,
        author=author or (origins[0].author if len(origins) == 1 else ""),
        source=origins[-1].source,
        at_ms=origins[-1].at_ms,
        used_count=sum(one.used_count for one in origins),
        subject=subject,
    )
