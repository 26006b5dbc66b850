"""What an agent remembers, one piece at a time, as it is kept."""

from dataclasses import dataclass
from enum import StrEnum


class ContextKind(StrEnum):
    """What a context is."""

    #: Said by somebody: the author is a role (``user``, ``assistant``, ``system``) or a name.
    MESSAGE = "message"
    #: A tool was called: the author is the tool, the text its arguments as JSON.
    CALL = "call"
    #: A tool replied: the author is the tool. It belongs to the latest open call of that tool in its source.
    RESULT = "result"
    #: Something known for itself.
    FACT = "fact"
    #: Written by consolidation: what a tool call and its result say, shorter.
    RECORD = "record"
    #: Written by consolidation: the sentences that were kept of messages, or instructions word for word.
    SUMMARY = "summary"


#: Kinds that consolidation writes and never compacts again.
COMPACTED = frozenset({ContextKind.RECORD, ContextKind.SUMMARY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A piece of an agent's memory.

    Attributes:
        id: number in the database, grows with time; 0: not kept yet.
        kind: what it is.
        text: what it says.
        author: who said it: a role, a tool or a name.
        source: where it was learnt: a conversation, a file, a run. Empty: nowhere in particular.
        at_ms: when, on the clock of the host that appended it.
        used_count: how often a search returned it, or it was said again.
        token_count: tokens of the text, by the counter of who appended it.
        subject: what a record is about, a line each; a later record of one of its subjects replaces it.
    """

    id: int = 0
    kind: ContextKind
    text: str
    author: str = ""
    source: str = ""
    at_ms: int = 0
    used_count: int = 0
    token_count: int = 0
    subject: str = ""
