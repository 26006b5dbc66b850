"""Dead letters as lines of JSON, and back."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator

from hive.database.archive import ArchivedLetter
from hive.deadletter.letter import Letter
from hive.errors import InputError
from hive.store.deadletters import BATCH_LETTERS
from hive.store.quarantine import dead_letter
from hive.store.store import Store
from hive.store.values import DeadLetter


def exported(letter: Letter) -> str:
    """Return a line of JSON that says all of a letter: to be read, and to be put back with :func:`put_back`."""
    return json.dumps({**letter.described(), "record": letter.stored.record.decode("utf-8", "replace")})


def of_archive(archived: ArchivedLetter) -> Letter:
    """Return a letter of the archive as an operator sees it."""
    message = f"{archived.priority}:".encode() + archived.payload
    return Letter.of(dead_letter(archived.id, archived.queue, archived.record, message))


def put_back(store: Store, lines: Iterable[str], *, to: str | None = None) -> tuple[int, int]:
    """Put exported letters back among the dead letters of their queue; a repeat doubles nothing.

    Args:
        store: the broker.
        lines: as :func:`exported` wrote them.
        to: another queue for all of them.

    Returns:
        How many lines were read, and how many letters were put back: the others were there.

    Raises:
        InputError: a line is no exported letter; those before it are back.
        BrokerFullError: the broker is at its memory limit.
    """
    read = added = 0
    batch: list[DeadLetter] = []
    for letter in _letters(lines, to):
        if batch and (batch[0].queue != letter.queue or len(batch) == BATCH_LETTERS or _size(batch) > 1_048_576):
            added += store.dead_import(batch[0].queue, batch)
            batch = []
        batch.append(letter)
        read += 1
    return read, added + (store.dead_import(batch[0].queue, batch) if batch else 0)


def _size(letters: list[DeadLetter]) -> int:
    return sum(len(letter.payload) for letter in letters)


def _letters(lines: Iterable[str], to: str | None) -> Iterator[DeadLetter]:
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _letter(number, line, to)
    except UnicodeDecodeError as error:
        raise InputError(f"line {number + 1} is no exported dead letter: it is no text ({error.reason})") from error


def _letter(number: int, line: str, to: str | None) -> DeadLetter:
    try:
        fields = json.loads(line)
        message = f"{int(fields['priority'])}:".encode() + base64.b64decode(fields["payload_b64"], validate=True)
        return dead_letter(str(fields["id"]), to or str(fields["queue"]), str(fields["record"]).encode(), message)
    except KeyError as error:
        raise InputError(f"line {number} is no exported dead letter: it lacks {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise InputError(f"line {number} is no exported dead letter: {type(error).__name__}: {error}") from error
