"""What people left behind in a text: merge conflicts, notes to themselves, mixed line ends and indentation."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import PurePosixPath

from workers.text import Remark

#: Characters of a note that a remark repeats.
NOTE_CHARS = 120

_OURS = re.compile(r"^<{7}(\s|$)")
_MIDDLE = re.compile(r"^={7}\s*$")
_THEIRS = re.compile(r"^>{7}(\s|$)")
_WORDS = r"(TODO|FIXME|XXX|HACK)\b[:\s]*(.*)"
_NOTE = re.compile(rf"^#+\s*{_WORDS}")
_HASH = re.compile(rf"(?:^|\s)#+\s*{_WORDS}")
_SLASH = re.compile(rf"(?:^|\s)(?://+|/\*+|\*)\s*{_WORDS}")
_MARKUP = re.compile(rf"<!--\s*{_WORDS}")
_HASH_FILES = {".toml", ".yaml", ".yml", ".cfg", ".ini", ".sh", ".bash", ".mk", ".tf", ".rb", ".r"}
_SLASH_FILES = {
    ".js",
    ".mjs",
    ".jsx",
    ".ts",
    ".tsx",
    ".c",
    ".h",
    ".cc",
    ".cpp",
    ".hpp",
    ".go",
    ".rs",
    ".java",
    ".css",
    ".scss",
}
_MARKUP_FILES = {".md", ".markdown", ".html", ".htm", ".xml"}
#: Names of such files that have no kind.
COMMENTED_NAMES = frozenset({"Makefile", "Dockerfile", "Jenkinsfile", "Vagrantfile"})
#: Kinds of file, other than Python, whose comments are known.
COMMENTED_SUFFIXES = frozenset(_HASH_FILES | _SLASH_FILES | _MARKUP_FILES)
_LINE_ENDS = re.compile(r"\r\n|\n|\r")
_ENDS = {"\r\n": "CRLF", "\n": "LF", "\r": "CR"}


def conflicts(text: str) -> Iterator[Remark]:
    """Yield a remark for each merge conflict: all three marks, in their order."""
    start, divided = 0, False
    for number, line in enumerate(_LINE_ENDS.split(text), start=1):
        if _OURS.match(line):
            start, divided = number, False
        elif start and _MIDDLE.match(line):
            divided = True
        elif start and divided and _THEIRS.match(line):
            yield Remark(rule="merge-conflict", line=start, message=f"an unresolved merge conflict up to line {number}")
            start, divided = 0, False


def mixed_line_ends(text: str) -> Iterator[Remark]:
    """Yield a remark on the first line that ends otherwise than most do, if there is one."""
    ends = _LINE_ENDS.findall(text)
    kinds = sorted(set(ends), key=lambda end: (-ends.count(end), end))
    if len(kinds) > 1:
        line = next(number for number, end in enumerate(ends, start=1) if end != kinds[0])
        counts = " and ".join(f"{ends.count(kind)} with {_ENDS[kind]}" for kind in kinds)
        yield Remark(rule="mixed-line-endings", line=line, message=f"lines end in different ways: {counts}")


def python_notes(text: str) -> Iterator[Remark]:
    """Yield a remark for each comment of a Python text that is a note, and one if tabs and spaces both indent.

    Args:
        text: what Python can tokenise.
    """
    indents: dict[str, int] = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (found := _NOTE.match(token.string)):
            yield _note(found, token.start[0], token.start[1] + 1)
        elif token.type == tokenize.INDENT:
            indents.setdefault("tabs" if "\t" in token.string else "spaces", token.start[0])
    if len(indents) > 1:
        line = max(indents.values())
        yield Remark(rule="mixed-indentation", line=line, message="some blocks are indented by tabs, others by spaces")


def other_notes(path: str, text: str) -> Iterator[Remark]:
    """Yield a remark for each note in the comments of a text that is no Python; its name tells how comments look."""
    pattern = _comment_pattern(path)
    if pattern is None:
        return
    for number, line in enumerate(_LINE_ENDS.split(text), start=1):
        if found := pattern.search(line):
            yield _note(found, number, found.start(1) + 1)


def _comment_pattern(path: str) -> re.Pattern[str] | None:
    name = PurePosixPath(path)
    suffix = name.suffix.lower()
    if suffix in _HASH_FILES or name.name in COMMENTED_NAMES:
        return _HASH
    if suffix in _SLASH_FILES:
        return _SLASH
    return _MARKUP if suffix in _MARKUP_FILES else None


def _note(found: re.Match[str], line: int, column: int) -> Remark:
    text = found[2].strip().removesuffix("-->").removesuffix("*/").strip()[:NOTE_CHARS]
    rule = "fixme" if found[1] in {"FIXME", "HACK"} else "todo"
    return Remark(rule=rule, line=line, column=column, message=f"{found[1]}: {text}" if text else found[1])
