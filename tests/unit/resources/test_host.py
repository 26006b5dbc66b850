"""Limits of control groups from recorded file trees: what counts is the least one between a process and the root."""

from pathlib import Path

import psutil
import pytest

from hive.resources.cgroups import GroupLimits, read_limits
from hive.resources.host import Pressure, read_host, read_pressure

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
NO_LIMIT_V1 = "9223372036854771712\n"


def grown(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


# A pod of Kubernetes, version 2: the container's limit is under the pod's, its quota over it.
POD_V2 = {
    "proc/self/mountinfo": V2_MOUNT,
    "proc/self/cgroup": "0::/kubepods.slice/pod1/container1\n",
    "sys/fs/cgroup/kubepods.slice/memory.max": "max\n",
    "sys/fs/cgroup/kubepods.slice/pod1/memory.max": "2147483648\n",
    "sys/fs/cgroup/kubepods.slice/pod1/memory.current": "900000000\n",
    "sys/fs/cgroup/kubepods.slice/pod1/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/kubepods.slice/pod1/container1/memory.max": "1073741824\n",
    "sys/fs/cgroup/kubepods.slice/pod1/container1/memory.current": "600000000\n",
    "sys/fs/cgroup/kubepods.slice/pod1/container1/memory.stat": "anon 1\ninactive_file 100000000\n",
    "sys/fs/cgroup/kubepods.slice/pod1/container1/cpu.max": "200000 100000\n",
    "sys/fs/cgroup/kubepods.slice/pod1/container1/pids.max": "512\n",
}
# A container of Docker, version 2, with a namespace of its own: it sees its group as the root.
DOCKER_V2 = {
    "proc/self/mountinfo": V2_MOUNT,
    "proc/self/cgroup": "0::/\n",
    "sys/fs/cgroup/memory.max": "536870912\n",
    "sys/fs/cgroup/memory.current": "1000\n",
    "sys/fs/cgroup/cpu.max": "max 100000\n",
    "sys/fs/cgroup/pids.max": "max\n",
}
# Docker, version 1: the path is the host's, of which the container has only its own part mounted.
DOCKER_V1 = {
    "proc/self/mountinfo": V1_MOUNTS,
    "proc/self/cgroup": "8:pids:/docker/abc\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "50000000\n",
    "sys/fs/cgroup/memory/memory.stat": "inactive_file 5\ntotal_inactive_file 20000000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/pids/pids.max": "100\n",
    "sys/fs/cgroup/unified/cgroup.procs": "",
}
# A machine without limits, version 1 and an empty version 2 beside it.
FREE_V1 = {
    "proc/self/mountinfo": V1_MOUNTS,
    "proc/self/cgroup": "4:memory:/session/1\n2:cpu,cpuacct:/\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1,
    "sys/fs/cgroup/memory/session/1/memory.limit_in_bytes": NO_LIMIT_V1,
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/unified/cgroup.procs": "",
}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (POD_V2, GroupLimits(memory_bytes=1 << 30, memory_used_bytes=500_000_000, cores=1.5, processes=512)),
        (DOCKER_V2, GroupLimits(memory_bytes=512 << 20, memory_used_bytes=1000)),
        (DOCKER_V1, GroupLimits(memory_bytes=256 << 20, memory_used_bytes=30_000_000, cores=0.5, processes=100)),
        (FREE_V1, GroupLimits()),
        ({}, GroupLimits()),
    ],
    ids=["pod, version 2", "Docker, version 2", "Docker, version 1", "no limits, version 1", "no control groups"],
)
def test_the_least_limit_up_to_the_root_counts(tmp_path: Path, files: dict[str, str], expected: GroupLimits) -> None:
    assert read_limits(grown(tmp_path, files)) == expected


def test_limits_of_the_group_count_before_the_totals_of_the_machine(tmp_path: Path) -> None:
    host = read_host(tmp_path / "not" / "there", grown(tmp_path, DOCKER_V1))
    assert (host.cores, host.memory_mb, host.processes) == (0.5, 256, 100)
    assert host.memory_available_mb == (256 * 1_048_576 - 30_000_000) // 1_048_576
    assert host.capacity.memory_mb == 256
    whole = read_host(tmp_path, tmp_path / "empty")
    assert whole.memory_mb == psutil.virtual_memory().total // 1_048_576
    assert 0 < whole.disk_free_mb <= whole.disk_mb


def test_stalls_are_read_where_the_kernel_measures_them(tmp_path: Path) -> None:
    stalls = (
        "some avg10=1.51 avg60=30.97 avg300=73.52 total=7963690415\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=0\n"
    )
    root = grown(tmp_path, {"proc/pressure/memory": stalls})
    assert read_pressure(root) == {"memory": Pressure(some_percent=1.51, full_percent=0.25)}
    assert read_pressure(tmp_path / "none") == {}
