"""A Python file of the reviewed project: read, decoded and parsed, never imported."""

import ast
import io
import sys
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hive import HiveError
from workers.findings import Skipped, Unit
from workers.lint import parses

#: Larger files are generated, or data: they are listed as skipped.
SIZE_MAX_BYTES = 5_000_000


class UnreadableError(HiveError):
    """A file cannot be examined; the sentence is the reason, without the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A Python file that can be examined.

    Attributes:
        path: below the project's root, with forward slashes.
        file: where it is.
        text: what it says, with line feeds as newlines.
        tree: the same, parsed.
        encoding: what it is written in: its cookie (PEP 263) or byte order mark, else UTF-8.
    """

    path: str
    file: Path
    text: str
    tree: ast.Module
    encoding: str


class Reading:
    """The Python files of a unit, one after another, and what could not be read of it.

    Iterating yields each readable file as :class:`Source`, in the unit's order, and holds only that one.

    Args:
        unit: what to read.
        agent: agent type that reads, named in what is skipped.

    Attributes:
        skipped: what could not be read so far, with the reason.
    """

    def __init__(self, unit: Unit, agent: str) -> None:
        self.unit, self.agent = unit, agent
        self.skipped: list[Skipped] = []

    def __iter__(self) -> Iterator[Source]:
        for path in self.unit.files:
            try:
                source = read(self.unit.root, path)
            except UnreadableError as exc:
                self.skip(path, str(exc))
            else:
                yield source

    def utf8_paths(self, tool: str) -> list[str]:
        """Return the paths of all files that :meth:`is_utf8` lets pass, reading them once more."""
        return [source.path for source in self if self.is_utf8(source, tool)]

    def is_utf8(self, source: Source, tool: str) -> bool:
        """Tell whether a tool that reads files itself, and only UTF-8, can take ``source``; if not, note it as skipped.

        Args:
            source: a file of this reading.
            tool: the tool's name, for the reason.
        """
        if source.encoding in {"utf-8", "utf-8-sig"}:
            return True
        self.skip(source.path, f"is written in {source.encoding}: {tool} reads UTF-8 only")
        return False

    def skip(self, path: str, reason: str) -> None:
        """Note that ``path`` was not examined."""
        self.skipped.append(Skipped(path=path, reason=reason, agent=self.agent))


def read(root: str, path: str) -> Source:
    """Read one Python file.

    Args:
        root: absolute path of the project.
        path: the file's path below it.

    Raises:
        UnreadableError: it is missing, no regular file, unreadable, over 5 MB, no text, or does not parse; code that
            only a newer Python can parse is told apart.
    """
    file = Path(root, path)
    data = read_bytes(file)
    text, encoding = _decoded(data)
    return Source(path=path, file=file, text=text, tree=_parsed(text), encoding=encoding)


def read_bytes(file: Path) -> bytes:
    """Return the content of a regular file without NUL bytes and of at most 5 MB.

    Raises:
        UnreadableError: it is not one.
    """
    try:
        if not file.is_file():
            # A named pipe would be waited for, a device read without end.
            raise UnreadableError("is not a regular file" if file.exists() else "does not exist")
        size_bytes = file.stat().st_size
        if size_bytes > SIZE_MAX_BYTES:
            raise UnreadableError(f"is too large: {size_bytes:,} bytes, the limit is {SIZE_MAX_BYTES:,}")
        data = file.read_bytes()
    except OSError as exc:
        raise UnreadableError(f"cannot be read: {exc.strerror}") from exc
    if b"\0" in data:
        raise UnreadableError("contains NUL bytes")
    return data


def _decoded(data: bytes) -> tuple[str, str]:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        with io.TextIOWrapper(io.BytesIO(data), encoding) as reader:
            return reader.read(), encoding
    except (SyntaxError, LookupError) as exc:
        raise UnreadableError(f"cannot be decoded: {exc}") from exc
    except UnicodeError as exc:
        raise UnreadableError(f"cannot be decoded: it is not valid {encoding}") from exc


def _parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as exc:
        raise UnreadableError(_why(exc, text)) from exc
    except (RecursionError, MemoryError) as exc:
        raise UnreadableError("is nested too deeply to be parsed") from exc
    except ValueError as exc:
        raise UnreadableError(f"cannot be parsed: {exc}") from exc


def _why(exc: SyntaxError, text: str) -> str:
    if exc.msg.startswith("too many"):
        # Nested parentheses and indentation have limits in Python, but none in ruff.
        return "is nested too deeply to be parsed"
    if parses(text):
        return f"needs a newer Python than {sys.version_info.major}.{sys.version_info.minor}"
    return f"has a syntax error in line {exc.lineno}: {exc.msg}"
