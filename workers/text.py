"""Files of the reviewed project that are text, whatever they are written in, and remarks on them."""

import codecs
from dataclasses import dataclass
from pathlib import Path

from workers.source import UnreadableError, read_bytes

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_text(root: str, path: str) -> str:
    """Return what a file says, with its line ends as they are.

    Args:
        root: absolute path of the project.
        path: the file's path below it.

    Raises:
        UnreadableError: it is missing, unreadable, over 5 MB, holds NUL bytes, or is not in UTF-8.
    """
    return decode(read_bytes(Path(root, path)))


def decode(data: bytes) -> str:
    """Return bytes as text: UTF-8, or what a byte order mark says.

    Raises:
        UnreadableError: they are neither.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise UnreadableError(f"is not in {encoding.upper()}: byte {data[exc.start]:#04x} in line {line}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something to say about a place in a text.

    Attributes:
        rule: what kind of thing.
        line: from 1; 0: the text as a whole.
        column: from 1; 0: not known.
        message: what.
    """

    rule: str
    line: int = 0
    column: int = 0
    message: str
