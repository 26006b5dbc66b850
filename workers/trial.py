"""Running a project's own tests: in a copy, with coverage, under limits of time, memory and file size.

The tests are the project's code, and so is what they do: they run as the user who runs hive, with the network the
machine has. What is guaranteed is that the project's own directory is not where they run, that they get an environment
without the caller's variables, and that their process group does not outlive its time.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

from workers.findings import Value
from workers.project import is_excluded
from workers.tool import ToolFailedError, run

#: Seconds of wall time, and of processor time for each process, unless the caller wants others.
TIMEOUT_S = 600.0
#: Bytes of address space for each process.
MEMORY_BYTES = 4 * 1024**3
#: Bytes that one file may grow to.
FILE_BYTES = 512 * 1024**2
#: A project whose files have more bytes than this is not copied.
COPY_BYTES = 1024**3

#: Pytest's exit codes that come with a report: passed, failed, interrupted, nothing collected.
_REPORTED = (0, 1, 2, 5)
_USAGE_ERROR = 4

#: Sets the limits and becomes pytest: set in the child by itself, because nothing may run between fork and exec in a
#: process with threads. A limit that is lower already stays.
_LIMITED = """
import os, resource, sys
for kind, wanted in (("CPU", sys.argv[1]), ("AS", sys.argv[2]), ("FSIZE", sys.argv[3]), ("CORE", 0)):
    # macOS knows the limit on address space, but cannot set it.
    if kind != "AS" or sys.platform != "darwin":
        number = getattr(resource, "RLIMIT_" + kind)
        hard = resource.getrlimit(number)[1]
        limit = int(wanted) if hard == resource.RLIM_INFINITY else min(int(wanted), hard)
        resource.setrlimit(number, (limit, limit))
os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[4:]])
"""


class Failure(Value):
    """A test that did not pass.

    Attributes:
        test: its name, with its class.
        path: its file below the project's root; empty if pytest does not say.
        line: where it starts, from 1; 0: not known.
        kind: ``failure`` (a check failed) or ``error`` (it could not be run).
        message: pytest's own, first line.
    """

    test: str
    path: str
    line: int
    kind: str
    message: str


class Trial(Value):
    """How a project's tests went.

    Attributes:
        passed: number of tests that passed.
        skipped: number that were skipped or failed as expected.
        failures: those that did not pass, in pytest's order.
        duration_s: seconds pytest took.
        coverage: percent of each file's statements that ran, by path; empty if nothing ran.
        covered_percent: percent of all statements that ran.
    """

    passed: int
    skipped: int
    failures: tuple[Failure, ...]
    duration_s: float
    coverage: dict[str, float]
    covered_percent: float


def try_tests(root: str, timeout_s: float = TIMEOUT_S) -> Trial:
    """Copy a project, run its tests there with coverage, and return how they went.

    The project's own pytest settings hold; where pytest refuses its ``addopts`` (they may need a plugin that is not
    installed), it runs once more without them.

    Args:
        root: absolute path of the project.
        timeout_s: seconds for pytest.

    Raises:
        ToolFailedError: the project is too large to be copied, or pytest could not be run.
        ToolTimeoutError: the tests ran out of time.
        OSError: there is no room for the copy.
    """
    with tempfile.TemporaryDirectory(prefix="hive-trial-", ignore_cleanup_errors=True) as scratch:
        copy, reports = Path(scratch, "project"), Path(scratch, "reports")
        reports.mkdir()
        _copy(Path(root), copy)
        _pytest(copy, reports, timeout_s)
        return _trial(reports)


def _copy(root: Path, copy: Path) -> None:
    """Copy the project's files; caches, environments, links and what cannot be read stay behind.

    Raises:
        ToolFailedError: there are more than COPY_BYTES of them.
    """
    total_bytes = 0
    for directory, names, files in os.walk(root):
        here = Path(directory)
        at_top = here == root
        names[:] = [name for name in names if not (here / name).is_symlink()]
        names[:] = [name for name in names if not is_excluded(here / name, at_top=at_top)]
        target = copy / here.relative_to(root)
        target.mkdir(parents=True)
        for name in files:
            file = here / name
            # A link could lead back to the project, and a test could write through it.
            if file.is_symlink() or not file.is_file() or not os.access(file, os.R_OK):
                continue
            total_bytes += file.stat().st_size
            if total_bytes > COPY_BYTES:
                raise ToolFailedError(
                    f"the project has more than {COPY_BYTES:,} bytes, too many to run its tests in a copy"
                )
            shutil.copy(file, target / name)


def _pytest(copy: Path, reports: Path, timeout_s: float) -> None:
    limits = (str(int(timeout_s) + 1), str(MEMORY_BYTES), str(FILE_BYTES))
    options = ("-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={reports / 'tests.xml'}")
    coverage = ("--cov=.", f"--cov-report=json:{reports / 'coverage.json'}", "--continue-on-collection-errors")
    command = [sys.executable, "-c", _LIMITED, *limits, *options, *coverage]
    environment = {
        "PYTHONPATH": os.pathsep.join(str(path) for path in (copy, copy / "src") if path.is_dir()),
        "COVERAGE_FILE": str(reports / "coverage.data"),
    }
    good = (*_REPORTED, _USAGE_ERROR)
    run(command, cwd=copy, timeout_s=timeout_s, env=environment, good=good)
    if not (reports / "tests.xml").exists():
        run([*command, "-o", "addopts="], cwd=copy, timeout_s=timeout_s, env=environment, good=_REPORTED)


def _trial(reports: Path) -> Trial:
    # Pytest wrote it, and expat bounds what entities expand to.
    suites = ET.parse(reports / "tests.xml").getroot()  # noqa: S314
    cases = list(suites.iter("testcase"))
    failures = [failure for case in cases if (failure := _failure(case)) is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    measured = json.loads((reports / "coverage.json").read_text()) if (reports / "coverage.json").exists() else {}
    files = measured.get("files", {})
    return Trial(
        passed=len(cases) - len(failures) - skipped,
        skipped=skipped,
        failures=tuple(failures),
        duration_s=round(sum(float(suite.get("time", 0)) for suite in suites.iter("testsuite")), 2),
        coverage={
            Path(path).as_posix(): round(files[path]["summary"]["percent_covered"], 1)
            for path in sorted(files)
            if files[path]["summary"]["num_statements"]
        },
        covered_percent=round(measured.get("totals", {}).get("percent_covered", 0.0), 1),
    )


def _failure(case: ET.Element) -> Failure | None:
    for kind in ("failure", "error"):
        found = case.find(kind)
        if found is not None:
            name = ".".join(part for part in (case.get("classname", ""), case.get("name", "")) if part)
            line = case.get("line")
            return Failure(
                test=name,
                path=case.get("file", ""),
                line=int(line) + 1 if line else 0,
                kind=kind,
                message=_message(found),
            )
    return None


def _message(found: ET.Element) -> str:
    """Return what went wrong in one line: of an error while collecting, pytest's own message says only that."""
    reasons = [line[1:].strip() for line in (found.text or "").splitlines() if line.startswith("E ")]
    told = (found.get("message") or "").strip().splitlines()
    return (reasons[-1] if found.tag == "error" and reasons else told[0] if told else found.tag)[:400]
