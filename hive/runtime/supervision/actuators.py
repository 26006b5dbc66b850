"""What carries out the sizes a fleet scaler decides: something that starts workers, and ends them warmly."""

import json
import logging
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hive.clock import Clock, SystemClock
from hive.errors import SettingsError

logger = logging.getLogger(__name__)

#: Longest seconds that a user's command may take.
COMMAND_S = 60.0


class Actuator(Protocol):
    """Has numbers of workers."""

    def have(self, workers: Mapping[str, int]) -> set[str]:
        """Have that many workers of each agent type named; returns those for which that was seen to. Safe to repeat."""

    def stand_by(self) -> None:
        """Go back to what is there in any case: another scaler decides. Safe to repeat."""


class Nobody:
    """Leaves it to a platform that asks for the figures, such as KEDA."""

    def have(self, workers: Mapping[str, int]) -> set[str]:
        """Do nothing; returns all of them."""
        return set(workers)

    def stand_by(self) -> None:
        """Do nothing."""


class OwnProcesses:
    """Has the supervisor of ``hive up`` start and drain worker processes.

    Args:
        pipe: to the supervisor.
        minimum: workers of each agent type that are there in any case.
    """

    def __init__(self, pipe: int, minimum: Mapping[str, int]) -> None:
        self._pipe, self._minimum = pipe, dict(minimum)

    def have(self, workers: Mapping[str, int]) -> set[str]:
        """Tell the supervisor; returns all of them."""
        if workers:
            os.write(self._pipe, json.dumps({"workers": dict(workers)}).encode() + b"\n")
        return set(workers)

    def stand_by(self) -> None:
        """Tell the supervisor to go back to the minimum of each."""
        self.have(self._minimum)


class Command:
    """Runs a command of the user's for each agent type whose number changes; no shell is involved.

    Args:
        template: with ``{agent_type}`` and ``{workers}`` in it.
        clock: for how long it may take.

    Raises:
        SettingsError: it has other braces, or lacks one of the two.
    """

    def __init__(self, template: str, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._running: dict[str, _Run] = {}
        try:
            self._words = shlex.split(template)
            self._spelled("agent-type", 1)
        except (KeyError, IndexError, ValueError) as error:
            raise SettingsError(
                f"the command {template!r} cannot be read ({error}): only {{agent_type}} and {{workers}} may stand in braces"
            ) from error
        if "{agent_type}" not in template or "{workers}" not in template:
            raise SettingsError(f"the command {template!r} must name both {{agent_type}} and {{workers}}")

    def have(self, workers: Mapping[str, int]) -> set[str]:
        """See that it runs for each, one run of an agent type at a time; never waits.

        Returns:
            Those for which it has ended well with this number. Ask again for the others.
        """
        return {name for name, count in workers.items() if self._is_done(name, count)}

    def stand_by(self) -> None:
        """Do nothing: the same command is another scaler's now."""

    def _spelled(self, agent_type: str, workers: int) -> list[str]:
        return [word.format(agent_type=agent_type, workers=workers) for word in self._words]

    def _is_done(self, name: str, count: int) -> bool:
        running = self._running.get(name)
        if running is not None:
            code = self._code(running)
            if code is None:
                return False
            del self._running[name]
            if code == 0 and running.workers == count:
                return True
            if code != 0:
                logger.warning("%s ended with code %d", shlex.join(running.words), code)
        self._begin(name, count)
        return False

    def _begin(self, name: str, count: int) -> None:
        words = self._spelled(name, count)
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        except OSError as error:
            logger.warning("%s cannot be run: %s", shlex.join(words), error)
            return
        deadline_s = self._clock.monotonic_s() + COMMAND_S
        self._running[name] = _Run(words=words, workers=count, process=process, deadline_s=deadline_s)

    def _code(self, run: "_Run") -> int | None:
        """Return the exit code of a run; None while it lasts, which is not for ever."""
        if run.process.poll() is None and self._clock.monotonic_s() > run.deadline_s:
            logger.warning("%s is ended: it took more than %g s", shlex.join(run.words), COMMAND_S)
            run.process.kill()
            run.process.wait()
        return run.process.returncode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run of a user's command."""

    words: Sequence[str]
    workers: int
    process: "subprocess.Popen[bytes]"
    deadline_s: float
