"""Units: a project's files in pieces of similar cost, so that many slots finish at about the same time."""

import heapq
from collections.abc import Iterable

from workers.findings import Unit
from workers.project import Project, SourceFile

#: Bytes of source in a unit: two to ten seconds of work for the slowest file-local tool, and little enough that losing
#: one costs little.
UNIT_BYTES = 200_000

#: Cost of opening a file and starting on it, in bytes of source: many small files are not free.
FILE_BYTES = 500


def split(root: str, files: Iterable[SourceFile], unit_bytes: int = UNIT_BYTES) -> tuple[Unit, ...]:
    """Return units of similar cost, the costliest first; the same files in any order give the same units.

    Every file is in exactly one unit. Files are dealt out largest first, each to the unit that has the least so far,
    so two units differ by no more than the largest file.

    Args:
        root: absolute path of the project.
        files: what to split; none gives no unit.
        unit_bytes: what a unit should cost at most; a larger file is a unit of its own.
    """
    waiting = sorted(files, key=lambda file: (-file.size_bytes, file.path))
    if not waiting:
        return ()
    count = min(len(waiting), max(1, -(-sum(map(cost, waiting)) // unit_bytes)))
    bins: list[tuple[int, int]] = [(0, number) for number in range(count)]
    members: list[list[str]] = [[] for _ in range(count)]
    for file in waiting:
        filled, number = heapq.heappop(bins)
        members[number].append(file.path)
        heapq.heappush(bins, (filled + cost(file), number))
    ordered = sorted(bins, key=lambda item: (-item[0], item[1]))
    return tuple(Unit(root=root, files=tuple(sorted(members[number]))) for _, number in ordered)


def cost(file: SourceFile) -> int:
    """What working on a file costs, in bytes of source."""
    return file.size_bytes + FILE_BYTES


def whole(project: Project) -> Unit:
    """Return all Python files of a project as one unit, for tools that need the whole."""
    return Unit(root=project.root, files=tuple(file.path for file in project.python))


def everything(project: Project) -> Unit:
    """Return all files of a project as one unit, for tools that read documents and configuration too."""
    files = (*project.python, *project.others)
    return Unit(root=project.root, files=tuple(sorted(file.path for file in files)))
