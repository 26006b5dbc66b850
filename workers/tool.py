"""Running an external tool: bounded in time, away from the reviewed project, leaving nothing behind."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from hive import HiveError

#: Bytes of arguments in one command line; Linux takes 2 MiB with the environment, macOS 1 MiB.
ARGUMENTS_MAX_BYTES = 128 * 1024

#: Characters of a tool's own words that an error repeats.
_DETAIL_CHARS = 400


class ToolFailedError(HiveError):
    """A tool ended with a code that is none of its good ones, or could not be started."""


class ToolTimeoutError(HiveError):
    """A tool took longer than it was given, and was ended."""


def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    good: Collection[int] = (0,),
) -> str:
    """Run a tool and return what it wrote to standard output.

    It gets an environment of its own: no settings of the caller, a scratch directory as home and temporary directory,
    no bytecode written. On a timeout, and on any error in the caller, its whole process group is killed. Running it
    again is safe if the tool itself is.

    Args:
        command: program and arguments; never a shell line.
        timeout_s: seconds after which it is killed.
        cwd: where it runs; a scratch directory that is removed afterwards if not given.
        env: further variables.
        stdin: what it reads from standard input.
        good: exit codes that are no failure; linters use 1 for "something found".

    Raises:
        ToolFailedError: it could not be started, or ended with another code.
        ToolTimeoutError: it ran out of time.
    """
    name = Path(command[0]).name
    with tempfile.TemporaryDirectory(prefix="hive-tool-") as scratch:
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd or scratch,
                env={**_environment(scratch), **(env or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as exc:
            raise ToolFailedError(f"{name} cannot be started: {exc.strerror}") from exc
        output, words = _talk(process, name, stdin, timeout_s)
    if process.returncode not in good:
        raise ToolFailedError(f"{name} ended with code {process.returncode}: {_last_words(words or output)}")
    return output.decode("utf-8", "replace")


def batches(paths: Sequence[str], limit_bytes: int = ARGUMENTS_MAX_BYTES) -> Iterator[list[str]]:
    """Yield ``paths`` in order, in lists that fit on a command line.

    Args:
        paths: arguments; one longer than the limit gets a list of its own.
        limit_bytes: most bytes in one list, counting the terminators.
    """
    batch: list[str] = []
    used = 0
    for path in paths:
        size = len(os.fsencode(path)) + 1
        if batch and used + size > limit_bytes:
            yield batch
            batch, used = [], 0
        batch.append(path)
        used += size
    if batch:
        yield batch


def _talk(process: subprocess.Popen[bytes], name: str, stdin: str, timeout_s: float) -> tuple[bytes, bytes]:
    with process:
        try:
            return process.communicate(stdin.encode("utf-8", "surrogateescape"), timeout=timeout_s)
        except subprocess.TimeoutExpired as exc:
            raise ToolTimeoutError(f"{name} was ended after {timeout_s:g} s") from exc
        finally:
            # Also for a time limit or Ctrl-C in the caller: nothing of the tool may outlive the call.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _environment(scratch: str) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": scratch,
        "TMPDIR": scratch,
        "XDG_CONFIG_HOME": scratch,
        "XDG_CACHE_HOME": scratch,
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _last_words(words: bytes) -> str:
    text = " ".join(words.decode("utf-8", "replace").split())
    return text[-_DETAIL_CHARS:] or "it said nothing"
