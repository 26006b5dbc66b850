"""Real beats on a real broker, whose leader is killed, frozen or cut off."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.beat_entries import BEAT
from hive.store.leadership import Leadership, Term
from hive.testing import FaultProxy
from tests.support.beat_app import EVERY_MS, QUEUE
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).parents[2]


class Fault(Enum):
    """What happens to a leader."""

    KILLED = "killed"
    """SIGKILL; another beat is started in its place."""
    FROZEN = "frozen"
    """SIGSTOP, and SIGCONT once another leads."""
    CUT_OFF = "cut off"
    """Nothing passes between it and the broker, and nothing is closed, until another leads."""
    STOPPED = "stopped"
    """SIGTERM: it resigns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the messages on the broker say of the firings.

    Attributes:
        sent: how many there are.
        lost: due times between an entry's first and last that nothing was sent for.
        duplicated: messages of a due time that another was sent for.
        unexpected: messages of no entry's due time.
    """

    sent: int
    lost: int
    duplicated: int
    unexpected: int


@dataclass(slots=True)
class Beat:
    """One process, and its way to the broker."""

    proxy: FaultProxy
    process: subprocess.Popen[bytes] = field(init=False)


class BeatFleet:
    """Beats that are started, faulted and ended by the test that made them.

    Args:
        server: the broker.
        count: beats.
        hold_s: their ``beat.hold_s``.
        log: where they write.
    """

    def __init__(self, server: RedisServer, *, count: int, hold_s: float, log: Path) -> None:
        self.server, self.hold_s, self.log = server, hold_s, log
        store = Store(server.client(retry=never_repeating()), layout=Layout(), settings=DeliverySettings())
        self.store, self.leadership = store, Leadership(store, BEAT, "fleet", hold_s)
        self.beats = [Beat(FaultProxy("127.0.0.1", server.port)) for _ in range(count)]
        self.terms: list[int] = []

    def __enter__(self) -> Self:
        for beat in self.beats:
            beat.proxy.start()
            self._start(beat)
        self.leader()
        # All of them ask before the first fault.
        eventually(lambda: all(beat.proxy.commands["EVALSHA"] > 1 for beat in self.beats), 60, what="all beats run")
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        for beat in self.beats:
            beat.process.send_signal(signal.SIGCONT)
            beat.process.kill()
            beat.process.wait(60)
            beat.proxy.stop()

    def leader(self) -> Term:
        """Return the term of whoever leads, once somebody does."""
        return eventually(self.leadership.current, 60, 0.005, what="a leader")

    def fault(self, fault: Fault) -> float:
        """Let a fault meet the leader, wait until another leads and sends, undo it; returns seconds to the first firing."""
        before = self.leader()
        self.terms.append(before.number)
        beat = next(one for one in self.beats if str(one.process.pid) == before.holder.split(":")[1])
        began_s = time.monotonic()
        self._meet(beat, fault)
        after = eventually(lambda: self._successor(before), every_s=0.005, what=f"a leader after one was {fault.value}")
        assert after.number > before.number
        sent = self._length()
        eventually(lambda: self._length() > sent, every_s=0.005, what="the new leader sends")
        taken_s = time.monotonic() - began_s
        self._undo(beat, fault)
        return taken_s

    def crashes(self) -> int:
        """Return how many beats have ended that nobody ended."""
        return sum(beat.process.poll() is not None for beat in self.beats)

    def settle(self) -> None:
        """Wait until a leader has sent what fell due while the last one was away."""
        sent = self._length()
        eventually(lambda: self._length() > sent + 20, 60, what="firings go on")

    def tally(self) -> Tally:
        """Compare the messages on the broker with the due times of each entry."""
        seen: dict[str, list[int]] = {name: [] for name in EVERY_MS}
        unexpected = 0
        for raw in self.store.client.lrange(QUEUE, 0, -1):
            headers = json.loads(raw)["headers"]
            if headers.get("hive_entry") in seen:
                seen[headers["hive_entry"]].append(headers["hive_due_ms"])
            else:
                unexpected += 1
        lost = duplicated = 0
        for name, dues in seen.items():
            duplicated += sum(count - 1 for count in Counter(dues).values())
            for earlier, later in pairwise(sorted(set(dues))):
                steps, rest = divmod(later - earlier, EVERY_MS[name])
                lost += steps - 1
                unexpected += bool(rest)
        return Tally(sent=sum(map(len, seen.values())), lost=lost, duplicated=duplicated, unexpected=unexpected)

    def _meet(self, beat: Beat, fault: Fault) -> None:
        if fault is Fault.CUT_OFF:
            beat.proxy.black_hole()
        else:
            number = {Fault.KILLED: signal.SIGKILL, Fault.FROZEN: signal.SIGSTOP, Fault.STOPPED: signal.SIGTERM}[fault]
            beat.process.send_signal(number)

    def _undo(self, beat: Beat, fault: Fault) -> None:
        if fault is Fault.FROZEN:
            beat.process.send_signal(signal.SIGCONT)
        elif fault is Fault.CUT_OFF:
            beat.proxy.heal()
        else:
            beat.process.wait(60)
            self._start(beat)
            asked = beat.proxy.commands["EVALSHA"]
            eventually(lambda: beat.proxy.commands["EVALSHA"] > asked, 60, what="the new beat asks")

    def _successor(self, before: Term) -> Term | None:
        term = self.leadership.current()
        return term if term is not None and term.holder != before.holder else None

    def _length(self) -> int:
        return int(self.store.client.llen(QUEUE))

    def _start(self, beat: Beat) -> None:
        environment = {
            "BEAT_URL": beat.proxy.url,
            "HIVE_BEAT_HOLD_S": str(self.hold_s),
            "HIVE_BROKER_SOCKET_TIMEOUT_S": str(max(1.0, self.hold_s)),
        }
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "tests.support.beat_app",
            "beat",
            "--loglevel=INFO",
            "--pidfile=",
        ]
        with self.log.open("ab") as log:
            beat.process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **environment}, process_group=0
            )


def faults(rng: random.Random, count: int) -> list[Fault]:
    """Return as many of each kind that is a fault, in a random order."""
    kinds = (Fault.KILLED, Fault.FROZEN, Fault.CUT_OFF)
    chosen = [kinds[number % len(kinds)] for number in range(count)]
    rng.shuffle(chosen)
    return chosen
