"""Who leads, of several processes that could: one at a time, each time under a greater number.

The broker decides, by its own clock: clocks of hosts do not matter, nor steps of them. A leader that is frozen or cut off
goes on believing in itself; so what it writes carries its term, and is refused in the step that would write it once
another has taken over (``parts/leader.lua`` is the check, for any script that takes the leader's key and the term).

===================================== ===============================================================================
what happens                          what follows
===================================== ===============================================================================
the leader dies, freezes, is cut off  another that asks leads once ``hold_s`` have passed since the last renewal
it resigns                            the next that asks leads at once
a reply is lost                       ask again: the same holder gets the same term
the broker is away                    nobody leads anew; then whoever asks first, if longer than ``hold_s``
the broker has another run id         as above; the leader keeps the lead under a greater term, an hour ahead, so that a
                                      term that was lost with the last writes never comes again
its clock is set forward              the lead may pass to another though its holder lives: one term more, no harm
its clock is set back                 no lead lasts longer than ``hold_s`` from the first look after it
===================================== ===============================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hive.errors import InputError
from hive.store.caller import Caller
from hive.store.faults import translated


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A period in which one process leads.

    Attributes:
        name: what is led.
        holder: who leads.
        number: greater than that of every term before; what the leader writes carries it.
        left_s: seconds that were left of it, by the broker, when it was asked.
        now_ms: the broker's time then, in ms since 1970.
    """

    name: str
    holder: str
    number: int
    left_s: float
    now_ms: int


class Leadership:
    """One process's part in who leads; it keeps nothing in memory, so threads may share it as far as the store may.

    Args:
        store: the broker.
        name: what is led, such as ``beat``.
        holder: who this is, fresh for each life of a process: two with the same name would both lead.
        hold_s: seconds a lead lasts without renewal; renew it every third of that.

    Raises:
        InputError: ``hold_s`` is no positive number of milliseconds.

    Example:
        >>> leadership = Leadership(store, "beat", holder=uuid4().hex, hold_s=3)  # doctest: +SKIP
        >>> if (term := leadership.campaign()) is not None:  # doctest: +SKIP
        ...     leadership.note(term, {"workers": b"4"})
    """

    def __init__(self, store: Caller, name: str, holder: str, hold_s: float) -> None:
        if round(hold_s * 1000) < 1:
            raise InputError(f"hold_s={hold_s:g}: a lead must last at least a millisecond")
        self._store, self._name, self._holder = store, name, holder
        self._hold_ms = round(hold_s * 1000)
        self.key = leader_key(store, name)

    def campaign(self) -> Term | None:
        """Take the lead if it is free, or renew it.

        A repeat is a renewal: the number stays the same for as long as nobody else led.

        Returns:
            The term; none while another leads.

        Raises:
            BrokerGoneError: no reply; it may have been taken. Ask again.
        """
        leads, *term = self._store.call(
            "lead",
            [self.key],
            self._store.now_argument(),
            self._store.run_id_argument(),
            self._holder,
            self._hold_ms,
        )
        return self._term(*term) if leads else None

    def resign(self) -> bool:
        """Give the lead up, so that another has it at once. Safe to repeat.

        Returns:
            Whether this process led.

        Raises:
            BrokerGoneError: no reply; the lead ends by itself.
        """
        return bool(self._store.call("lead_resign", [self.key], self._holder))

    def current(self) -> Term | None:
        """Return the term of whoever leads now; none if nobody does.

        Raises:
            BrokerGoneError: no reply.
        """
        reply = self._store.call("lead_read", [self.key], self._store.now_argument())
        return self._term(*reply) if reply else None

    def note(self, term: Term, notes: Mapping[str, bytes | str]) -> bool:
        """Write down what the next leader has to know, unless the term has ended; other notes stay. Safe to repeat.

        An empty note is forgotten: what is told of things that are gone must not stay for ever.

        Returns:
            Whether it was written; false: another leads, or this process resigned.

        Raises:
            InputError: there are no notes.
            BrokerGoneError: no reply; it may have been written.
        """
        pairs = [part for pair in notes.items() for part in pair]
        keys = [self.key, self._notes_key]
        if not pairs:
            raise InputError("no notes: write at least one")
        return bool(self._store.call("lead_note", keys, term.number, *pairs))

    def notes(self) -> dict[str, bytes]:
        """Return what leaders have written down, by name.

        Raises:
            BrokerGoneError: no reply.
        """
        with translated("notes"):
            return {name.decode(): value for name, value in self._store.client.hgetall(self._notes_key).items()}

    @property
    def _notes_key(self) -> str:
        return self._store.layout.shared(_tag(self._name), "notes")

    def _term(self, number: int, left_ms: int, holder: bytes, now_ms: int) -> Term:
        return Term(name=self._name, holder=holder.decode(), number=number, left_s=left_ms / 1000, now_ms=now_ms)


def leader_key(store: Caller, name: str) -> str:
    """Return the key under which stands who leads; what a script writes under a term shares its slot."""
    return store.layout.shared(_tag(name), "leader")


def _tag(name: str) -> str:
    return f"hive:lead:{name}"
