"""Code that was copied: runs of tokens that repeat after names and literals were blotted out.

Fingerprints are picked by winnowing (Schleimer, Wilkerson and Aiken, 2003): of every window of k-gram hashes the least
is kept, so that any two runs that share ``GRAM_TOKENS + WINDOW_GRAMS - 1`` tokens share a fingerprint. A shared
fingerprint is then extended in both directions as far as the tokens agree, and kept if it is long enough, holds
statements rather than a table of data, and its names correspond one to one.

Warning: pieces that were copied and then changed every few lines are not found.
"""

import io
import itertools
import keyword
import tokenize
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

#: Tokens hashed together.
GRAM_TOKENS = 25
#: Hashes of which the least is kept.
WINDOW_GRAMS = 16
#: A shorter run is a habit of the language, not a copy.
MIN_TOKENS = 70
#: A run over fewer lines is not worth a function of its own.
MIN_LINES = 6
#: Fewer keywords than this are a table of data.
MIN_KEYWORDS = 3
#: Share of names that must correspond one to one.
MIN_CONSISTENCY = 0.9

_BASE = 1_000_003
_MODULUS = (1 << 61) - 1
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_SHAPES = {tokenize.NAME: "N", tokenize.NUMBER: "0", tokenize.STRING: "S"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Lines of a file, first and last included, from 1."""

    path: str
    first: int
    last: int

    @property
    def line_count(self) -> int:
        """Number of lines."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """Two regions with the same tokens; ``copy`` comes after ``original`` in order of path and line."""

    original: Region
    copy: Region
    token_count: int


@dataclass(slots=True)
class _Stream:
    """A file's tokens without layout, comments, imports and docstrings."""

    path: str
    codes: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)

    def add(self, token: tokenize.TokenInfo) -> None:
        shape = token.string
        if token.type in _SHAPES and not keyword.iskeyword(token.string):
            shape = _SHAPES[token.type]
        elif token.type in {tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE}:
            shape = tokenize.tok_name[token.type]
        self.codes.append(zlib.crc32(shape.encode()))
        self.words.append(token.string)
        self.lines.append(token.start[0])
        self.ends.append(token.type == tokenize.NEWLINE)


def find_clones(sources: Mapping[str, str]) -> list[Clone]:
    """Return what is repeated within and across files, in order of the copies' places.

    Args:
        sources: text of each file by path; what Python cannot tokenise is left out.
    """
    streams = [stream for path in sorted(sources) if (stream := _stream(path, sources[path])) is not None]
    shared: dict[int, list[tuple[int, int]]] = {}
    for number, stream in enumerate(streams):
        for print_, position in _fingerprints(stream.codes):
            shared.setdefault(print_, []).append((number, position))
    covered: dict[tuple[int, int, int], int] = {}
    found: dict[Region, Clone] = {}
    for places in shared.values():
        for first, second in itertools.pairwise(places):
            clone = _extend(streams, first, second, covered)
            if clone is not None and _better(clone, found.get(clone.copy)):
                found[clone.copy] = clone
    return _outermost(found.values())


def _better(clone: Clone, known: Clone | None) -> bool:
    return known is None or (clone.original.path, clone.original.first) < (known.original.path, known.original.first)


def _stream(path: str, text: str) -> _Stream | None:
    stream = _Stream(path)
    try:
        for statement in _statements(text):
            meaning = [token for token in statement if token.type not in {tokenize.INDENT, tokenize.DEDENT}]
            is_docstring = len(meaning) == 2 and meaning[0].type == tokenize.STRING
            is_import = bool(meaning) and meaning[0].string in {"import", "from"}
            for token in statement:
                if not (is_docstring or is_import) or token.type in {tokenize.INDENT, tokenize.DEDENT}:
                    stream.add(token)
    except (tokenize.TokenError, SyntaxError):
        return None
    return stream


def _statements(text: str) -> Iterator[list[tokenize.TokenInfo]]:
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _LAYOUT:
            continue
        statement.append(token)
        if token.type == tokenize.NEWLINE:
            yield statement
            statement = []
    yield statement


def _fingerprints(codes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the kept hashes with the position of their first token."""
    grams = _rolling(codes)
    last = -1
    for start in range(max(0, len(grams) - WINDOW_GRAMS + 1)):
        if last >= start and grams[start + WINDOW_GRAMS - 1] >= grams[last]:
            continue
        # The rightmost of equal hashes, so that a repetitive file keeps few.
        last = min(range(start, start + WINDOW_GRAMS), key=lambda at: (grams[at], -at))
        yield grams[last], last


def _rolling(codes: Sequence[int]) -> list[int]:
    if len(codes) < GRAM_TOKENS:
        return []
    weight = pow(_BASE, GRAM_TOKENS, _MODULUS)
    value = 0
    hashes = []
    for at, code in enumerate(codes):
        value = (value * _BASE + code) % _MODULUS
        if at >= GRAM_TOKENS:
            value = (value - codes[at - GRAM_TOKENS] * weight) % _MODULUS
        if at >= GRAM_TOKENS - 1:
            hashes.append(value)
    return hashes


def _extend(
    streams: Sequence[_Stream],
    first: tuple[int, int],
    second: tuple[int, int],
    covered: dict[tuple[int, int, int], int],
) -> Clone | None:
    """Grow a shared fingerprint to the longest common run, and judge it."""
    (number_a, at_a), (number_b, at_b) = first, second
    diagonal = (number_a, number_b, at_b - at_a)
    if at_a < covered.get(diagonal, 0):
        return None
    a, b = streams[number_a], streams[number_b]
    room = at_b - at_a if a is b else len(b.codes)
    start = 0
    while start < min(at_a, at_b) and a.codes[at_a - start - 1] == b.codes[at_b - start - 1] and start < room:
        start += 1
    low_a, low_b = at_a - start, at_b - start
    length = 0
    limit = min(len(a.codes) - low_a, len(b.codes) - low_b, room)
    while length < limit and a.codes[low_a + length] == b.codes[low_b + length]:
        length += 1
    covered[diagonal] = low_a + length
    return _judged(a, b, low_a, low_b, length)


def _judged(a: _Stream, b: _Stream, low_a: int, low_b: int, length: int) -> Clone | None:
    """Cut the run to whole statements, and return it if it is worth telling."""
    statement_ends = [at for at in range(length) if a.ends[low_a + at]]
    begins = low_a == 0 or a.ends[low_a - 1] or low_b == 0 or b.ends[low_b - 1]
    if len(statement_ends) < 2:
        return None
    skip = 0 if begins else statement_ends[0] + 1
    low_a, low_b, length = low_a + skip, low_b + skip, statement_ends[-1] + 1 - skip
    words_a, words_b = a.words[low_a : low_a + length], b.words[low_b : low_b + length]
    original, copy = _region(a, low_a, length), _region(b, low_b, length)
    if length < MIN_TOKENS or min(original.line_count, copy.line_count) < MIN_LINES:
        return None
    if sum(map(keyword.iskeyword, words_a)) < MIN_KEYWORDS or _consistency(words_a, words_b) < MIN_CONSISTENCY:
        return None
    return Clone(original=original, copy=copy, token_count=length)


def _region(stream: _Stream, low: int, length: int) -> Region:
    lines = [
        line for line, word in zip(stream.lines[low : low + length], stream.words[low:], strict=False) if word.strip()
    ]
    return Region(path=stream.path, first=min(lines), last=max(lines))


def _consistency(words_a: Sequence[str], words_b: Sequence[str]) -> float:
    """Return the share of names that stand for the same name wherever they stand, 0..1."""
    pairs = [(a, b) for a, b in zip(words_a, words_b, strict=True) if a.isidentifier() and not keyword.iskeyword(a)]
    forward: dict[str, str] = {}
    backward: dict[str, str] = {}
    agreed = sum(forward.setdefault(a, b) == b and backward.setdefault(b, a) == a for a, b in pairs)
    return agreed / len(pairs) if pairs else 0.0


def _outermost(clones: Iterable[Clone]) -> list[Clone]:
    """Drop copies that lie within another copy, and sort the rest."""
    kept: list[Clone] = []
    for clone in sorted(clones, key=lambda clone: (clone.copy.path, clone.copy.first, -clone.copy.last)):
        last = kept[-1].copy if kept else None
        if last is None or last.path != clone.copy.path or clone.copy.last > last.last:
            kept.append(clone)
    return kept
