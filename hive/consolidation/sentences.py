"""Prose, cut into sentences, and what in a sentence carries information."""

import re

from hive.consolidation.stopwords import STOP_WORDS

_MARKS = re.compile(r"[*`#>]+|^\s*(?:[-+•]|\d+[.)])\s+")
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|\d+")

_TIME = re.compile(r"\b(\d{1,2}):(\d\d)(?::\d\d)?(?:\s*([ap])\.?m\b\.?)?", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    rf"\b({'|'.join(_MONTHS)})[a-z]*\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,?\s+\d{{4}})?", re.IGNORECASE
)
_ISO = re.compile(r"\b\d{4}-(\d\d)-(\d\d)(?!\d)")
_SALIENT = re.compile(r"[\w@]+(?:[-.,@:/][\w@]+)*")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, each line and each point of a list for itself, without marks of layout."""
    found = []
    for line in text.splitlines():
        for one in _END.split(_MARKS.sub("", line).strip()):
            bare = one.strip()
            if bare:
                found.append(bare)
    return found


def salient(text: str) -> set[str]:
    """Return what a text names: numbers, dates, times, ids, addresses and proper names, in one way of writing each.

    ``May 20`` and ``2024-05-20`` are the same, as are ``7:00 PM`` and ``19:00:00``, ``$1,255.00`` and ``1255``.
    """
    found: set[str] = set()

    def _keep(name: str) -> str:
        found.add(name)
        return " "

    text = _ISO.sub(lambda m: _keep(f"{m[1]}-{m[2]}"), text)
    text = _DATE.sub(lambda m: _keep(f"{_MONTHS.index(m[1].lower()[:3]) + 1:02}-{int(m[2]):02}"), text)
    text = _TIME.sub(lambda m: _keep(_clock(m)), text)
    for match in _SALIENT.finditer(text):
        word = match[0]
        if any(sign.isdigit() for sign in word):
            found.add(_number(word))
        elif "_" in word or "@" in word or (word[0].isupper() and not _begins(text, match.start())):
            found.add(word.lower())
    return found


def words(text: str) -> list[str]:
    """Return the words and numbers of a text in lower case, without punctuation."""
    return [one.lower() for one in _WORD.findall(text)]


def content_words(text: str) -> set[str]:
    """Return the words of a text that are not in every text, in lower case."""
    return {word for word in words(text) if word not in STOP_WORDS and len(word) > 2}


def _clock(match: re.Match[str]) -> str:
    hour, half = int(match[1]), (match[3] or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return f"{hour}:{match[2]}"


def _number(word: str) -> str:
    bare = word.replace(",", "").lower()
    whole, dot, part = bare.partition(".")
    if dot and whole.isdigit() and part.isdigit():
        return f"{whole}.{part}".rstrip("0").rstrip(".")
    return bare


def _begins(text: str, at: int) -> bool:
    """Whether a word begins a sentence or stands first: its capital says nothing then."""
    before = text[:at].rstrip()
    return not before or before[-1] in ".!?:\n" or text[at:].startswith(("I ", "I'"))
