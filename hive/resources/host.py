"""What a host has, and how much of it is in use."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from hive.agents.types import Resources
from hive.resources.cgroups import read_limits

MEGABYTE_BYTES = 1_048_576

#: Without a network card that tells its speed: what is offered for booking.
UNKNOWN_NETWORK_MBPS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How long work has stalled for want of a resource, as the kernel measures it (pressure stall information).

    Attributes:
        some_percent: of the last ten seconds in which at least one process waited.
        full_percent: of the last ten seconds in which all of them waited.
    """

    some_percent: float
    full_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What this host, or the container it is, has at an instant.

    Attributes:
        name: of the host.
        cores: processor cores its processes may use together.
        memory_mb: memory they may use together.
        memory_available_mb: of it what can be had without swapping or killing.
        disk_mb: of the disk that the home lies on.
        disk_free_mb: of it what is free.
        network_mbps: speed of all its network cards together.
        processes: most processes it may have; None: no limit is known.
        pressure: stalls by resource (cpu, memory, io), where the kernel measures them.
    """

    name: str
    cores: float
    memory_mb: int
    memory_available_mb: int
    disk_mb: int
    disk_free_mb: int
    network_mbps: int
    processes: int | None
    pressure: Mapping[str, Pressure]

    @property
    def capacity(self) -> Resources:
        """What can be booked in all."""
        return Resources(
            cores=self.cores,
            memory_mb=max(self.memory_mb, 1),
            disk_mb=self.disk_mb,
            network_mbps=self.network_mbps,
        )


def host_name() -> str:
    """Return the name under which this host is booked; a container has its own."""
    return socket.gethostname()


def read_host(disk: Path, root: Path = Path("/")) -> Host:
    """Look at this host; limits of its control groups count before the totals of the machine.

    Args:
        disk: a directory of the disk that counts; its nearest parent that exists is looked at.
        root: where ``proc`` and the control groups are found; another one for recorded trees.
    """
    limits, memory = read_limits(root), psutil.virtual_memory()
    total, available = memory.total, memory.available
    if limits.memory_bytes is not None and limits.memory_bytes < total:
        total = limits.memory_bytes
        available = min(available, total - (limits.memory_used_bytes or 0))
    while not disk.exists():
        disk = disk.parent
    space = psutil.disk_usage(str(disk))
    usable = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1)
    speeds = (card.speed for name, card in psutil.net_if_stats().items() if card.isup and name != "lo")
    return Host(
        name=host_name(),
        cores=min(usable, limits.cores or usable),
        memory_mb=total // MEGABYTE_BYTES,
        memory_available_mb=max(available, 0) // MEGABYTE_BYTES,
        disk_mb=space.total // MEGABYTE_BYTES,
        disk_free_mb=space.free // MEGABYTE_BYTES,
        network_mbps=sum(speed for speed in speeds if speed > 0) or UNKNOWN_NETWORK_MBPS,
        processes=limits.processes,
        pressure=read_pressure(root),
    )


def read_pressure(root: Path = Path("/")) -> dict[str, Pressure]:
    """Return the stalls the kernel has measured; nothing where it measures none."""
    found = {}
    for name in ("cpu", "memory", "io"):
        try:
            lines = (root / "proc/pressure" / name).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        shares = {line.split()[0]: float(line.split()[1].removeprefix("avg10=")) for line in lines if line}
        found[name] = Pressure(some_percent=shares.get("some", 0.0), full_percent=shares.get("full", 0.0))
    return found
