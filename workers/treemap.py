"""A map of a project: a rectangle for each file, as large as the file is long, inside those of its directories."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: Height of a directory's heading, and the room around what is in it, in units of the picture.
HEADING = 15.0
GAP = 2.0

#: Directories are drawn down to this depth; what lies deeper is drawn flat in the last one.
MAX_DEPTH = 4

#: Area below which the files of a directory are drawn as one rectangle.
MIN_AREA = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle.

    Attributes:
        x, y, width, height: in units of the picture.
        path: the file, or the directory with a slash at its end.
        files: how many files it stands for: more than 1 for the small ones of a directory drawn together.
        weight: lines of all of them.
        depth: 0 for what is at the top.
    """

    x: float
    y: float
    width: float
    height: float
    path: str
    files: int
    weight: int
    depth: int

    @property
    def is_directory(self) -> bool:
        """Whether it is the frame of a directory."""
        return self.path.endswith("/")

    @property
    def label(self) -> str:
        """The last part of the path, as much of it as fits; empty if too little does."""
        room = int((self.width - 6) / 6.6)
        name = (
            self.path.rstrip("/").rpartition("/")[2] if self.files == 1 or self.is_directory else f"{self.files} files"
        )
        if room < 4 or self.height < 12:
            return ""
        return name if len(name) <= room else name[: room - 1] + "…"


@dataclass(slots=True)
class _Node:
    """A directory while the tree is built."""

    path: str
    weight: int = 0
    count: int = 0
    directories: dict[str, "_Node"] = field(default_factory=dict)
    files: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Area:
    x: float
    y: float
    width: float
    height: float

    def inside(self) -> "_Area":
        """What is left for the content of a directory under its heading."""
        return _Area(
            self.x + GAP, self.y + HEADING, max(self.width - 2 * GAP, 0.0), max(self.height - HEADING - GAP, 0.0)
        )


def treemap(files: Mapping[str, int], width: float, height: float) -> tuple[Box, ...]:
    """Return the rectangles of all files and their directories, frames before what they hold.

    Args:
        files: lines by path; a file without lines counts as one line.
        width: of the picture.
        height: of the picture.
    """
    boxes: list[Box] = []
    _fill(_tree(files), _Area(0, 0, width, height), 0, boxes)
    return tuple(boxes)


def _tree(files: Mapping[str, int]) -> _Node:
    root = _Node("")
    for path, lines in sorted(files.items()):
        node, weight = root, max(lines, 1)
        node.weight, node.count = node.weight + weight, node.count + 1
        for part in path.split("/")[:-1][:MAX_DEPTH]:
            node = node.directories.setdefault(part, _Node(f"{node.path}{part}/"))
            node.weight, node.count = node.weight + weight, node.count + 1
        node.files.append((path, weight))
    return root


def _fill(node: _Node, area: _Area, depth: int, boxes: list[Box]) -> None:
    if area.width < 1 or area.height < 1:
        return
    scale = area.width * area.height / node.weight
    large = [(path, weight) for path, weight in node.files if weight * scale >= MIN_AREA]
    small = [(path, weight) for path, weight in node.files if weight * scale < MIN_AREA]
    items: list[tuple[int, str, _Node | None, int]] = [(weight, path, None, 1) for path, weight in large]
    items += [(child.weight, child.path, child, child.count) for child in node.directories.values()]
    if small:
        items.append((sum(weight for _, weight in small), small[0][0], None, len(small)))
    items.sort(key=lambda item: (-item[0], item[1]))
    places = squarify([weight for weight, *_ in items], area)
    for (weight, path, child, count), place in zip(items, places, strict=True):
        boxes.append(
            Box(
                x=round(place.x, 1),
                y=round(place.y, 1),
                width=round(place.width, 1),
                height=round(place.height, 1),
                path=path,
                files=count,
                weight=weight,
                depth=depth,
            )
        )
        if child is not None:
            _fill(child, place.inside(), depth + 1, boxes)


def squarify(weights: Sequence[int], area: _Area) -> list[_Area]:
    """Return a part of ``area`` for each weight (largest first), in proportion and as square as can be.

    Rows are laid along the shorter side; a row takes another item as long as that makes its worst item squarer.
    """
    placed: list[_Area] = []
    total = float(sum(weights))
    start = 0
    while start < len(weights):
        scale = area.width * area.height / total if total > 0 else 0.0
        side = max(min(area.width, area.height), 1e-9)
        end = start + 1
        while end < len(weights) and _worst(weights[start : end + 1], side, scale) <= _worst(
            weights[start:end], side, scale
        ):
            end += 1
        row, area = _row(weights[start:end], area, scale)
        placed += row
        total -= sum(weights[start:end])
        start = end
    return placed


def _worst(row: Sequence[int], side: float, scale: float) -> float:
    """How far the least square item of a row is from a square: 1 for a square."""
    depth = sum(row) * scale / side
    if depth <= 0:
        return float("inf")
    lengths = (max(row) * scale / depth, min(row) * scale / depth)
    return max(max(length / depth, depth / length) for length in lengths if length > 0)


def _row(row: Iterable[int], area: _Area, scale: float) -> tuple[list[_Area], _Area]:
    """Lay a row along the shorter side; return its parts and what is left."""
    sizes = [weight * scale for weight in row]
    places = []
    if area.width >= area.height:
        depth, at = sum(sizes) / max(area.height, 1e-9), area.y
        for size in sizes:
            places.append(_Area(area.x, at, depth, size / max(depth, 1e-9)))
            at += places[-1].height
        return places, _Area(area.x + depth, area.y, max(area.width - depth, 0.0), area.height)
    depth, at = sum(sizes) / max(area.width, 1e-9), area.x
    for size in sizes:
        places.append(_Area(at, area.y, size / max(depth, 1e-9), depth))
        at += places[-1].width
    return places, _Area(area.x, area.y + depth, area.width, max(area.height - depth, 0.0))
