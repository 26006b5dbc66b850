"""Which sentences are worth their tokens: those that say what was not said before."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hive.consolidation.rules import Rules
from hive.consolidation.sentences import content_words, salient, sentences
from hive.consolidation.similarity import NearDuplicates
from hive.database.contexts import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A sentence that is kept.

    Attributes:
        speaker: who said it.
        sentence: what was said.
        context: where it stood.
    """

    speaker: str
    sentence: str
    context: Context


class Prose:
    """What was said so far in each source, and what is new to it; sentences are judged in the order they are handed in.

    Args:
        rules: how much to keep.
        sources: those that are handed in.
    """

    def __init__(self, rules: Rules, sources: Collection[str]) -> None:
        self._rules = rules
        self._sources = sources
        self._named: dict[str, set[str]] = defaultdict(set)
        self._words: dict[str, set[str]] = defaultdict(set)
        self._sentences = NearDuplicates(rules.similarity)

    def know(self, context: Context) -> None:
        """Take a context of an earlier run as said; names count only where its source goes on."""
        if context.source in self._sources:
            self.learn(context.source, context.text)

    def compare_with(self, summaries: Iterable[Context]) -> None:
        """Take the sentences of earlier summaries as said, whatever their source."""
        for summary in summaries:
            for sentence in sentences(summary.text):
                self._sentences.add(sentence)

    def learn(self, source: str, text: str) -> None:
        """Take a text as said in a source."""
        self._named[source] |= salient(text)
        self._words[source] |= content_words(text)

    def kept(self, context: Context, speaker: str, text: str) -> list[Kept]:
        """Return the sentences of a text that are kept, and take them as said."""
        kept: list[Kept] = []
        for sentence in sentences(text):
            if self._is_worth(context.source, speaker, sentence):
                kept.append(Kept(speaker=speaker, sentence=sentence, context=context))
                self._sentences.add(sentence)
                self.learn(context.source, sentence)
        return kept

    def _is_worth(self, source: str, speaker: str, sentence: str) -> bool:
        new_names = salient(sentence) - self._named[source]
        new_words = content_words(sentence) - self._words[source]
        per_word = self._rules.user_word if speaker == "user" else self._rules.other_word
        points = 2 * len(new_names) + per_word * len(new_words)
        if points < self._rules.least_score:
            return False
        return bool(new_names) or self._sentences.find(sentence) is None
