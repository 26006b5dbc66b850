"""What retries of a process share with the fleet: budgets, outcomes, and who waits for a dependency.

The broker keeps it for all. Where the broker is away, or the application's broker is not Redis, the process goes by what it
has seen itself, and says so once.
"""

import logging
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hive.clock import Clock, SystemClock
from hive.resilience.adaptive import Outcomes
from hive.resilience.budget import RetryAccount, RetryBudget
from hive.resilience.failure import Cell
from hive.resilience.strategies import BatchedRetry
from hive.store.faults import BrokerGoneError
from hive.store.retry_state import Parked
from hive.store.store import Store
from hive.store.values import Outgoing
from hive.transport.channel import Channel

logger = logging.getLogger(__name__)

#: Seconds within which a process tells of a dependency that answers only once.
ANSWERED_EVERY_S = 0.5

#: Seconds between two reports of a process that released retries have begun.
BEGUN_EVERY_S = 0.1

#: Seconds for which a broker that was away is not asked again: each try may last as long as a connection takes.
AWAY_FOR_S = 2.0

#: Reports of outcomes that may wait to be sent; more are not kept.
REPORTS_WAITING = 1000


class RetryLedger:
    """One for each application; a pool child begins its own.

    Args:
        app: whose broker keeps what is shared.
        clock: for what the process keeps by itself.
    """

    def __init__(self, app: Any, clock: Clock | None = None) -> None:
        self._app = app
        self._now_s = (clock or SystemClock()).monotonic_s
        self._mutex = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._attempts: Counter[str] = Counter()
        self._accounts: dict[str, RetryAccount] = {}
        self._outcomes: dict[tuple[str, str], Outcomes] = {}
        self._answered_at_s: dict[str, float] = {}
        self._begun: Counter[str] = Counter()
        self._begun_at_s: dict[str, float] = {}
        self._holds: set[str] = set()
        self._is_alone = False
        self._away_until_s = float("-inf")
        self._reports = ThreadPoolExecutor(1, thread_name_prefix="hive-retries")
        self._waiting = 0

    def attempted(self, account: str) -> None:
        """Count a first attempt into the traffic of a dependency; no round trip."""
        with self._mutex:
            self._own()
            self._attempts[account] += 1

    def draw(self, account: str, budget: RetryBudget) -> float:
        """Draw a retry from a dependency's budget and return the seconds it has to wait."""
        with self._mutex:
            self._own()
            attempts = self._attempts.pop(account, 0)
        store = self._store()
        if store is not None:
            try:
                return store.draw_retry(account, budget, attempts)
            except BrokerGoneError as error:
                self._alone(error)
        with self._mutex:
            now_s = self._now_s()
            own = self._accounts.setdefault(account, RetryAccount(budget, now_s))
            return own.draw(now_s, attempts)

    def outcomes(self, task: str, cause: str) -> Outcomes:
        """Return what is known of the retries of a task after a cause."""
        store = self._store()
        if store is not None:
            try:
                return Outcomes.of(store.retry_outcomes(task, cause))
            except BrokerGoneError as error:
                self._alone(error)
        with self._mutex:
            return self._outcomes.get((task, cause), Outcomes())

    def learn(self, task: str, cause: str, cell: Cell, *, done: bool) -> None:
        """Count what became of a retry; told to the fleet by a thread, so the caller does not wait."""
        with self._mutex:
            self._own()
            self._outcomes.setdefault((task, cause), Outcomes()).add(cell, done=done)
        self._report(lambda store: store.learn_retry(task, cause, cell, done=done))

    def park(
        self,
        dependency: str,
        strategy: BatchedRetry,
        failed_id: str,
        message: Outgoing,
        *,
        probe_s: float,
        hold_s: float,
    ) -> Parked | None:
        """Say when a retry is due that waits for its dependency; ``None``: the broker cannot tell, go by the probe's wait."""
        store = self._store()
        if store is None:
            return None
        with self._mutex:
            self._holds.add(dependency)
        try:
            return store.park_retry(
                dependency,
                failed_id,
                message.message_id,
                message.queue,
                probe_s=probe_s,
                hold_s=hold_s,
                per_s=strategy.release_per_s,
            )
        except BrokerGoneError as error:
            self._alone(error)
            return None

    def answered(self, dependency: str, strategy: BatchedRetry, *, is_retry: bool) -> None:
        """Let those go on that wait for a dependency, because a task that calls it was done.

        Asks the broker only after a retry, or where this process has seen the dependency fail; and seldom.
        """
        with self._mutex:
            self._own()
            now_s = self._now_s()
            is_due = now_s - self._answered_at_s.get(dependency, float("-inf")) >= ANSWERED_EVERY_S
            if not is_due or not (is_retry or dependency in self._holds):
                return
            self._answered_at_s[dependency] = now_s
            self._holds.discard(dependency)
        self._report(lambda store: store.release_retries(dependency, strategy.release_per_s))

    def begun(self, dependency: str, strategy: BatchedRetry) -> None:
        """Note that a retry which waited for a dependency begins, so that the next may be released; no round trip."""
        with self._mutex:
            self._own()
            self._begun[dependency] += 1
            if self._begun[dependency] == 1:
                # Whatever begins until this is sent goes with it, so the last one is never left out.
                self._reports.submit(self._send_begun, dependency, strategy)

    def _send_begun(self, dependency: str, strategy: BatchedRetry) -> None:
        left_s = self._begun_at_s.get(dependency, float("-inf")) + BEGUN_EVERY_S - self._now_s()
        if left_s > 0:
            threading.Event().wait(left_s)
        with self._mutex:
            self._begun_at_s[dependency] = self._now_s()
            begun = self._begun.pop(dependency, 0)
        self._do(lambda store: store.release_retries(dependency, strategy.release_per_s, begun=begun, answered=False))

    def _report(self, step: Any) -> None:
        with self._mutex:
            if self._waiting >= REPORTS_WAITING:
                return
            self._waiting += 1
            self._reports.submit(self._send, step)

    def _send(self, step: Any) -> None:
        try:
            self._do(step)
        finally:
            with self._mutex:
                self._waiting -= 1

    def _do(self, step: Any) -> None:
        """Take a step on the broker, or note that it is away."""
        try:
            store = self._store()
            if store is not None:
                step(store)
        except BrokerGoneError as error:
            self._alone(error)

    def _own(self) -> None:
        """Begin anew in a pool child: threads and counts are its parent's."""
        if self._pid != os.getpid():
            self._begin()

    def _store(self) -> Store | None:
        if self._now_s() < self._away_until_s:
            return None
        try:
            channel = self._app.access.channel
        except BrokerGoneError as error:
            self._alone(error)
            return None
        if not isinstance(channel, Channel):
            return None
        self._is_alone = False
        return channel.store

    def _alone(self, error: BrokerGoneError) -> None:
        self._away_until_s = self._now_s() + AWAY_FOR_S
        if not self._is_alone:
            self._is_alone = True
            logger.warning("retry budgets and what was learned are this process's own for now: %s", error)
