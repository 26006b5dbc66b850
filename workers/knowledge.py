"""What a project says about itself, indexed for questions: passages in SQLite's full-text search.

An index is a file named by the digest of the passages it holds, so that it is never stale, two projects with the same
text share one, and building it twice does no harm. It lies in a directory of ours, never in the project, and only the
newest few are kept.
"""

import hashlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from pydantic import Field

from workers.passages import Passage

#: Indexes that are kept; the least recently used go.
KEPT_INDEXES = 20
#: Words of a question that are looked for; the rest of a longer one is left out.
MAX_WORDS = 32
#: Changes with the table's layout, so that an index of another layout is not read.
LAYOUT = "1"

_SCHEMA = (
    "CREATE VIRTUAL TABLE passage USING fts5("
    "title, names, text, path UNINDEXED, line UNINDEXED, tokenize = 'porter unicode61')"
)
_SELECT = (
    "SELECT path, line, title, text, -bm25(passage, 4.0, 3.0, 1.0) AS score FROM passage "
    "WHERE passage MATCH ? ORDER BY score DESC, path, CAST(line AS INTEGER) LIMIT ?"
)
_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_STOP_WORDS = frozenset(
    re.split(
        r"\s+",
        "a about an and any are as at be been by can could did do does for from get had has have how i if in into is it "
        "its me my of on or our should so tell than that the their them then there these they this to us was we were "
        "what when where which who why will with would you your",
    )
)


class Match(Passage):
    """A passage an answer rests on.

    Attributes:
        score: BM25, larger is better; comparable within one answer only.
    """

    score: float = Field(description="BM25: larger is better.")


def build_index(passages: Sequence[Passage], directory: Path) -> Path:
    """Return the index of these passages, building it unless it is there.

    Args:
        passages: what to index.
        directory: where indexes lie; made if missing.

    Raises:
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{_digest(passages)}.sqlite3"
    if path.exists():
        os.utime(path)
        return path
    handle, unfinished = tempfile.mkstemp(suffix=".building", dir=directory)
    os.close(handle)
    try:
        with closing(sqlite3.connect(unfinished)) as database, database:
            database.execute(_SCHEMA)
            database.executemany(
                "INSERT INTO passage (title, names, text, path, line) VALUES (?, ?, ?, ?, ?)",
                ((item.title, _names(item.title), item.text, item.path, item.line) for item in passages),
            )
        Path(unfinished).replace(path)
    finally:
        Path(unfinished).unlink(missing_ok=True)
    _discard_oldest(directory, keep=path)
    return path


def search(index: Path, question: str, limit: int) -> tuple[Match, ...]:
    """Return the passages that answer a question best: those with all of its words first, then those with any.

    Args:
        index: what :func:`build_index` returned.
        question: words in any order; no character has a special meaning.
        limit: most passages to return.
    """
    words = question_words(question)
    if not words:
        return ()
    found: dict[tuple[str, int], Match] = {}
    with closing(sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True)) as database:
        for operator in (" AND ", " OR "):
            query = operator.join(f'"{word}"' for word in words)
            for path, line, title, text, score in database.execute(_SELECT, (query, limit)):
                match = Match(path=path, line=int(line), title=title, text=text, score=round(score, 4))
                found.setdefault((path, match.line), match)
    return tuple(found.values())[:limit]


def question_words(question: str) -> list[str]:
    """Return the words of a question that are looked for: letters and digits only, each once, identifiers split.

    Words that every text holds are left out, unless there are no others.
    """
    words = [word for part in _WORD.findall(question) for word in (part, *_CAMEL.split(part))]
    lowered = list(dict.fromkeys(word.lower() for word in words))
    return [word for word in lowered if word not in _STOP_WORDS][:MAX_WORDS] or lowered[:MAX_WORDS]


def _names(title: str) -> str:
    """Return an identifier's words, so that "retry policy" finds ``RetryPolicy``."""
    return " ".join(_CAMEL.split(title))


def _digest(passages: Iterable[Passage]) -> str:
    digest = hashlib.sha256(f"{LAYOUT} {sqlite3.sqlite_version}".encode())
    for item in passages:
        for part in (item.path, str(item.line), item.title, item.text):
            digest.update(b"%d:" % len(part) + part.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _discard_oldest(directory: Path, *, keep: Path) -> None:
    """Remove all but the newest indexes; another process may be removing the same ones."""
    aged = []
    for path in directory.glob("*.sqlite3"):
        try:
            aged.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    for _, path in sorted(aged, reverse=True)[KEPT_INDEXES:]:
        if path != keep:
            path.unlink(missing_ok=True)
