"""Limits of the control groups a process is in, read from the kernel's files; versions 1 and 2, mixed ones too."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

#: Version 1 writes a number near 2^63 for "no limit".
UNLIMITED_BYTES = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """What the control groups of a process allow it, and what they use; None: no limit, or the kernel does not say.

    Attributes:
        memory_bytes: least of the memory limits from its group up to the root.
        memory_used_bytes: by that group, without file cache that the kernel can drop.
        cores: least of the processor quotas.
        processes: least of the limits on processes and threads.
    """

    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    cores: float | None = None
    processes: int | None = None


def read_limits(root: Path = Path("/")) -> GroupLimits:
    """Return the limits of the calling process.

    Args:
        root: where ``proc`` and the control groups are found; another one for recorded trees.
    """
    memory: list[tuple[int, int | None]] = []
    cores: list[float] = []
    processes: list[int] = []
    for controllers, folder in _groups(root):
        if not controllers or "memory" in controllers:
            memory += _memory(folder)
        if not controllers or "cpu" in controllers:
            cores += _cores(folder)
        if not controllers or "pids" in controllers:
            processes += _numbers(folder / "pids.max")
    limit, used = min(memory, key=lambda found: found[0], default=(None, None))
    return GroupLimits(
        memory_bytes=limit,
        memory_used_bytes=used,
        cores=min(cores, default=None),
        processes=min(processes, default=None),
    )


def _groups(root: Path) -> Iterator[tuple[frozenset[str], Path]]:
    """Yield each group the process is in and those above it: its controllers (none: version 2) and its folder."""
    mounts = _mounts(root)
    for line in _lines(root / "proc/self/cgroup"):
        number, names, path = line.split(":", 2)
        controllers = frozenset(names.split(",")) if names else frozenset()
        mount = next((folder for kinds, folder in mounts if (kinds & controllers if controllers else not kinds)), None)
        if number.isdigit() and mount is not None:
            # A container may see the path of its host, of which only the root is mounted here.
            inside = PurePosixPath(path.lstrip("/"))
            for part in (inside, *inside.parents):
                if (mount / part).is_dir() and ".." not in part.parts:
                    yield controllers, mount / part


def _mounts(root: Path) -> list[tuple[frozenset[str], Path]]:
    found = []
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(" ", 2), "", ""][:3]
        if kind in {"cgroup", "cgroup2"}:
            names = frozenset(options.split(",")) if kind == "cgroup" else frozenset()
            found.append((names, root / before.split(" ")[4].lstrip("/")))
    return found


def _memory(folder: Path) -> list[tuple[int, int | None]]:
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for limit_bytes in _numbers(folder / limit):
            if limit_bytes >= UNLIMITED_BYTES:
                continue
            stat = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat") if " " in line)
            used_bytes = next(iter(_numbers(folder / used)), None)
            kept = None if used_bytes is None else max(used_bytes - int(stat.get(cache, 0)), 0)
            return [(limit_bytes, kept)]
    return []


def _cores(folder: Path) -> list[float]:
    for line in _lines(folder / "cpu.max"):
        quota, period = line.split()
        return [] if quota == "max" else [int(quota) / int(period)]
    quota_us = _numbers(folder / "cpu.cfs_quota_us")
    period_us = _numbers(folder / "cpu.cfs_period_us")
    return [quota_us[0] / period_us[0]] if quota_us and period_us and quota_us[0] > 0 else []


def _numbers(path: Path) -> list[int]:
    return [int(line) for line in _lines(path) if line.lstrip("-").isdigit()]


def _lines(path: Path) -> list[str]:
    """Return the lines of a file; none where the kernel has no such file, or shows it to nobody."""
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
