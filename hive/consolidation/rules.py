"""How much of an agent's contexts compaction keeps."""

from collections.abc import Callable
from dataclasses import dataclass

#: A language model that writes a summary shorter: takes it, returns the shorter one.
Summarizer = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How much compaction keeps.

    A sentence has two points for each name, number or date that its source has not said yet, and a share of a point for each
    other new word.

    Attributes:
        least_score: points from which a sentence is kept; 0 keeps whatever is not said again.
        user_word: points of a new word that the user says.
        other_word: points of a new word that anybody else says.
        summary_chars: characters after which kept sentences begin a new summary.
        record_chars: characters after which a record goes on in a further context.
        similarity: overlap of word pairs from which a sentence without a new name or number was said before, 0..1.
        summarizer: a language model, off by default; what it returns is taken if it is shorter, and not looked into.
    """

    least_score: float = 2.0
    user_word: float = 0.5
    other_word: float = 0.0
    summary_chars: int = 400
    record_chars: int = 600
    similarity: float = 0.7
    summarizer: Summarizer | None = None
