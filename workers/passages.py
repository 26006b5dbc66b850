"""Documents and docstrings cut into passages: pieces of text with a title and a place.

A document is cut at its headings, and a long section at paragraphs; Python source gives one passage for each docstring.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from pydantic import Field

from workers.findings import Value

#: Kinds of file that are documents.
DOCUMENT_SUFFIXES = (".md", ".markdown", ".rst", ".txt")
#: A section longer than this is cut at the next paragraph.
PASSAGE_CHARS = 1500

_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_MARKDOWN_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^([=\-~^\"'`#*+:.])\1{2,}\s*$")
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Passage(Value):
    """A piece of text that can be found and quoted.

    Attributes:
        path: file below the project's root.
        line: its first line, from 1.
        title: headings above it, or the object whose docstring it is.
        text: the piece itself.
    """

    path: str
    line: int = Field(ge=1)
    title: str
    text: str


def is_document(path: str) -> bool:
    """Whether a file is a document, by its name."""
    return PurePosixPath(path).suffix.lower() in DOCUMENT_SUFFIXES


def document_passages(path: str, text: str) -> list[Passage]:
    """Cut a document into passages, in order.

    Args:
        path: file below the project's root; its name tells Markdown from the rest.
        text: all of it.
    """
    lines = text.splitlines()
    markdown = PurePosixPath(path).suffix.lower() in {".md", ".markdown"}
    title = PurePosixPath(path).name
    passages: list[Passage] = []
    for heading, first, body in _sections(lines, markdown=markdown):
        passages.extend(
            Passage(path=path, line=line, title=heading or title, text=piece) for line, piece in _pieces(body, first)
        )
    return passages


def docstring_passages(path: str, tree: ast.Module) -> list[Passage]:
    """Return one passage for each docstring of a module, its classes and functions."""
    module = ".".join(PurePosixPath(path).with_suffix("").parts).removesuffix(".__init__")
    return [
        Passage(path=path, line=node.body[0].lineno, title=name, text=docstring)
        for name, node in _documented(module, tree)
        if (docstring := ast.get_docstring(node))
    ]


def _documented(module: str, tree: ast.Module) -> Iterator[tuple[str, _Documented]]:
    """Yield what can have a docstring with its dotted name, in the order it is written."""
    # A stack of our own: a chain of a thousand `elif` is a thousand levels deep.
    waiting: list[tuple[str, ast.AST]] = [(module, tree)]
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, _Documented):
            yield name, node
        for child in reversed(list(ast.iter_child_nodes(node))):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                waiting.append((f"{name}.{child.name}", child))
            elif not isinstance(child, ast.expr):
                waiting.append((name, child))


def _sections(lines: Sequence[str], *, markdown: bool) -> Iterator[tuple[str, int, list[str]]]:
    """Yield (heading, number of the first line, lines) of each section."""
    heading, first, body = "", 1, list[str]()
    fenced = False
    for number, line in enumerate(lines, start=1):
        if markdown and _FENCE.match(line):
            fenced = not fenced
        found = None if fenced else _heading(lines, number, markdown=markdown)
        if found is not None:
            yield heading, first, body
            heading, first, body = found, number, []
        body.append(line)
    yield heading, first, body


def _heading(lines: Sequence[str], number: int, *, markdown: bool) -> str | None:
    """Return the heading that starts on line ``number``, if one does."""
    line = lines[number - 1].strip()
    if markdown and (found := _MARKDOWN_HEADING.match(lines[number - 1])):
        return found[2]
    below = lines[number] if number < len(lines) else ""
    underlined = _UNDERLINE.match(below) and line and not _UNDERLINE.match(line)
    if not underlined or (markdown and below.strip()[0] not in "=-"):
        return None
    # A table's rule or a quoted line may be longer or shorter than the text above it; a heading's never is shorter.
    return line if markdown or len(below.rstrip()) >= len(line) else None


def _pieces(body: Sequence[str], first: int) -> Iterator[tuple[int, str]]:
    """Cut a section at paragraphs into pieces of about PASSAGE_CHARS, without blank ones."""
    start, size = 0, 0
    for at, line in enumerate(body):
        if size > PASSAGE_CHARS and (not line.strip() or size > 2 * PASSAGE_CHARS):
            yield from _piece(body[start:at], first + start)
            start, size = at, 0
        size += len(line) + 1
    yield from _piece(body[start:], first + start)


def _piece(lines: Sequence[str], first: int) -> Iterator[tuple[int, str]]:
    filled = [at for at, line in enumerate(lines) if line.strip()]
    if filled:
        yield first + filled[0], "\n".join(lines[filled[0] : filled[-1] + 1])
