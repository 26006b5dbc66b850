"""What holders have booked of the resources of hosts, on the broker."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hive.store.caller import Caller
from hive.store.faults import translated

#: How long a booking outlives the last sign of the process that holds it, and how often it is renewed.
BOOKING_LEASE_MS = 6_000
BOOKING_RENEW_S = 1.5

#: What is booked, in whole units: thousandths of a core, megabytes, megabits a second.
AMOUNTS: Final = ("millicores", "memory", "disk", "network")

Amounts = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingAnswer:
    """What the broker said to a booking.

    Attributes:
        is_booked: whether it is booked now.
        was_held: whether the holder held something already, which this replaces if it is booked.
        others: what all other holders hold together, by resource.
    """

    is_booked: bool
    was_held: bool
    others: Amounts


class Booking(Caller):
    """Books resources of hosts for all processes there together. All keys of a host share a slot."""

    def _booking_keys(self, host: str) -> list[str]:
        return [f"{self.layout.prefix}{{hive:host:{host}}}:hive:{kind}" for kind in ("held", "leases", "totals")]

    def book(
        self, host: str, holder: str, amounts: Amounts, capacity: Amounts, *, anyway: bool = False
    ) -> BookingAnswer:
        """Book for a holder, in place of what it holds, for one lease; what ended leases held is free before.

        A repeat changes nothing but the lease.

        Args:
            host: its name.
            holder: who books; one booking each.
            amounts: of each resource.
            capacity: what the host has.
            anyway: book even what does not fit: it is in use already.

        Raises:
            BrokerGoneError: no reply; it may be booked, and ends with its lease.
        """
        numbers = [number for name in AMOUNTS for number in (capacity[name], amounts[name])]
        booked, was_held, *others = self.call(
            "book",
            self._booking_keys(host),
            self.now_argument(),
            holder,
            BOOKING_LEASE_MS,
            int(anyway),
            " ".join(AMOUNTS),
            *numbers,
        )
        return BookingAnswer(
            is_booked=bool(booked), was_held=bool(was_held), others=dict(zip(AMOUNTS, others, strict=False))
        )

    def unbook(self, host: str, holders: Iterable[str]) -> int:
        """Give back what holders have booked; returns how many held something. Safe to repeat."""
        asked = list(holders)
        return int(self.call("unbook", self._booking_keys(host), *asked)) if asked else 0

    def bookings(self, host: str) -> dict[str, dict[str, int]]:
        """Return what each holder has booked whose lease has not ended, by resource."""
        held_key, leases_key, _ = self._booking_keys(host)
        with translated("bookings"), self.client.pipeline() as pipeline:
            pipeline.hgetall(held_key)
            pipeline.zrange(leases_key, 0, -1, withscores=True)
            pipeline.time()
            held, leases, (seconds, microseconds) = pipeline.execute()
        now_ms = self._now_ms() if self._now_ms else seconds * 1000 + microseconds // 1000
        return {
            holder.decode(): _amounts(held[holder].decode())
            for holder, ends_ms in leases
            if ends_ms > now_ms and holder in held
        }


def _amounts(written: str) -> dict[str, int]:
    pairs = (pair.split("=") for pair in written.split())
    return {name: int(amount) for name, amount in pairs}
