"""Relative links in documents: where they point, and whether anything is there.

Only links to files of the same project are judged: addresses with a scheme, absolute paths, anchors, links that leave
the project and links to generated pages are left alone.
"""

import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from workers.findings import Value

_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_MARKDOWN = (
    re.compile(
        r"!?\[[^\]\[]*\]\(\s*(?:<([^<>]+)>|([^()\s<>]+(?:\([^()\s]*\)[^()\s]*)?))(?:\s+[\"'(][^\"')]*[\"')])?\s*\)"
    ),
    re.compile(r"^ {0,3}\[(?!\^)[^\]]+\]:\s+(?:<([^<>]+)>|(\S+))"),
)
_RESTRUCTURED = (
    re.compile(r"^\s*(?:\.\. \|[^|]+\| |\.\. )(?:image|figure|include|literalinclude)::\s+(?:<([^<>]+)>|(\S.*?))\s*$"),
    re.compile(r"`[^`<>]+\s<([^<>`\s]+)>`__?()"),
    re.compile(r"^\s*\.\. _[^:`]+:\s+(?:<([^<>]+)>|(\S*[./]\S*))\s*$"),
)
_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*:|//)")
#: Pages that a documentation tool writes; their sources have other names.
_GENERATED = {".html", ".htm"}


class Link(Value):
    """A link to another file of the project.

    Attributes:
        line: where it stands, from 1.
        column: from 1.
        written: as the document says it.
        target: path below the project's root it points to.
    """

    line: int
    column: int
    written: str
    target: str


def broken_links(path: str, text: str, exists: Callable[[str], bool]) -> list[Link]:
    """Return the links of a document whose target is not there, in order.

    Args:
        path: the document, below the project's root.
        text: all of it.
        exists: whether there is a file or directory at a path below the project's root.
    """
    return [link for link in relative_links(path, text) if not exists(link.target)]


def relative_links(path: str, text: str) -> list[Link]:
    """Return the links of a Markdown or reStructuredText document that point into the project; of others none."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in {".md", ".markdown"}:
        found = _matches(_without_code(text), _MARKDOWN)
    elif suffix == ".rst":
        found = _matches(text.splitlines(), _RESTRUCTURED)
    else:
        return []
    links = []
    for line, column, written in sorted(found):
        target = _target(path, written)
        if target is not None:
            links.append(Link(line=line, column=column, written=written, target=target))
    return links


def _matches(lines: list[str], patterns: Collection[re.Pattern[str]]) -> Iterator[tuple[int, int, str]]:
    for number, line in enumerate(lines, start=1):
        for pattern in patterns:
            for match in pattern.finditer(line):
                yield number, match.start() + 1, (match[1] or match[2]).strip()


def _without_code(text: str) -> list[str]:
    """Return the lines with fenced blocks and code spans blotted out, so that places stay right."""
    lines, fenced = [], False
    for line in text.splitlines():
        is_fence = bool(_FENCE.match(line))
        shown = "" if fenced or is_fence else _CODE_SPAN.sub(lambda match: "x" * len(match[0]), line)
        fenced ^= is_fence
        lines.append(shown)
    return lines


def _target(path: str, written: str) -> str | None:
    """Return the path a link points to, or None where that is not ours to judge."""
    plain = unquote(re.split(r"[#?]", written, maxsplit=1)[0])
    if not plain or _SCHEME.match(written) or plain.startswith(("/", "~")) or set(plain) & set("{}$|*@\\"):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), plain))
    if target.startswith("..") or PurePosixPath(target).suffix.lower() in _GENERATED:
        return None
    return target
