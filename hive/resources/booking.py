"""Booking what a host has: atomic over all its processes, refused with the numbers, released by death."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from hive.agents.types import Resources
from hive.store.booking import AMOUNTS, BOOKING_RENEW_S, Amounts, Booking
from hive.store.faults import BrokerGoneError
from hive.store.renewals import Renewals

logger = logging.getLogger(__name__)

UNITS = {"millicores": "thousandths of a core", "memory": "MB of memory", "disk": "MB of disk", "network": "Mbit/s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRefused:
    """What does not fit, with the numbers.

    Attributes:
        host: where it was asked for.
        lacking: for each resource that lacks: (asked for, booked by others, what the host has).
        is_hopeless: whether it would not fit even if nobody else had booked anything.
    """

    host: str
    lacking: dict[str, tuple[int, int, int]]
    is_hopeless: bool

    def __str__(self) -> str:
        parts = [
            f"{asked:,} {UNITS[name]} asked for, {booked:,} of {has:,} booked"
            for name, (asked, booked, has) in self.lacking.items()
        ]
        return f"{self.host} has no room: {'; '.join(parts)}"


class Bookings:
    """Books resources of one host for holders of this process, and keeps them until they are given back.

    A process that dies renews nothing: what it held is free after six seconds. The renewing thread runs while anything is
    held. Threads may share it. A process that was forked must make its own.

    Args:
        store: returns the broker, in whichever thread asks.
        host: the name of the host.
        capacity: what it has.
    """

    def __init__(self, store: Callable[[], Booking], host: str, capacity: Resources) -> None:
        self._store, self.host = store, host
        self.capacity = capacity
        self._held: dict[str, Resources] = {}
        self._mutex = threading.Lock()
        self._renewals = Renewals(self.run_once, BOOKING_RENEW_S, "hive-bookings")

    def book(self, holder: str, needs: Resources) -> BookingRefused | None:
        """Book for a holder, in place of what it holds; returns what lacks, or None: it is booked. A repeat renews.

        What it held stays if it is refused.

        Args:
            holder: who books, such as an agent's name or a task's id.
            needs: all of it or nothing is booked.

        Raises:
            BrokerGoneError: the broker is away; what may have been booked ends with its lease.
        """
        asked, has = amounts_of(needs), amounts_of(self.capacity)
        with self._mutex:
            answer = self._store().book(self.host, holder, asked, has)
            if not answer.is_booked:
                lacking = {
                    name: (asked[name], answer.others[name], has[name])
                    for name in AMOUNTS
                    if asked[name] and asked[name] + answer.others[name] > has[name]
                }
                is_hopeless = any(wanted > most for wanted, _, most in lacking.values())
                return BookingRefused(host=self.host, lacking=lacking, is_hopeless=is_hopeless)
            self._held[holder] = needs
        self._renewals.start()
        return None

    def release(self, holder: str) -> None:
        """Give back what a holder has booked; while the broker is away it ends with its lease. A repeat does nothing."""
        with self._mutex:
            if self._held.pop(holder, None) is None:
                return
            try:
                self._store().unbook(self.host, [holder])
            except BrokerGoneError as error:
                logger.warning("the booking of %s ends with its lease: %s", holder, error)

    def run_once(self) -> None:
        """Renew all bookings once; one whose lease had ended is taken again, as what it stands for is in use."""
        has, ended_count = amounts_of(self.capacity), 0
        with self._mutex:
            for holder, needs in self._held.items():
                try:
                    answer = self._store().book(self.host, holder, amounts_of(needs), has, anyway=True)
                except BrokerGoneError as error:
                    logger.warning("%d bookings could not be renewed: %s", len(self._held), error)
                    return
                ended_count += not answer.was_held
        if ended_count:
            logger.warning("the leases of %d bookings had ended: others may have booked the same", ended_count)

    def stop(self) -> None:
        """Renew no more; what is held ends with its leases. A repeat does nothing."""
        self._renewals.stop()


def amounts_of(resources: Resources) -> Amounts:
    """Return resources in the whole units they are booked in; 0 of those that were not named when they were declared.

    So a task that says what memory it needs waits for nothing else.
    """
    named = resources.model_fields_set
    return {
        "millicores": round(resources.cores * 1000) if "cores" in named else 0,
        "memory": resources.memory_mb if "memory_mb" in named else 0,
        "disk": resources.disk_mb if "disk_mb" in named else 0,
        "network": resources.network_mbps if "network_mbps" in named else 0,
    }
