"""What every archive of dead letters does, on SQLite and on PostgreSQL."""

import contextlib
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from hive.database import ArchivedLetter, ArchiveError, LetterArchive, open_archive
from hive.deadletter.archivist import expire_letters
from hive.errors import SettingsError
from hive.settings.load import load_settings
from hive.settings.parts import DeadSettings
from hive.testing import ManualClock

Open = Callable[[], LetterArchive]


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Open the same archive, as another process would, every time it is called."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database(f"db{uuid.uuid4().hex}")
    return lambda: open_archive(url, tmp_path / "home" / "letters.sqlite")


def letter(number: int, queue: str = "q", at_ms: int | None = None) -> ArchivedLetter:
    return ArchivedLetter(
        queue=queue,
        id=f"{number}",
        at_ms=number if at_ms is None else at_ms,
        priority=3,
        record=b'{"reason": "broken", "cause": "\xff\x00"}',
        payload=b"\x00\xff not text %d" % number,
    )


def test_an_archive_nobody_wrote_is_empty(opened: Open) -> None:
    assert (opened().count(), opened().count("q"), list(opened().letters("q"))) == (0, 0, [])


def test_a_file_that_is_only_just_made_is_empty(tmp_path: Path) -> None:
    (tmp_path / "letters.sqlite").touch()
    archive = open_archive(None, tmp_path / "letters.sqlite")
    assert (archive.count(), list(archive.letters("q"))) == (0, [])


def test_letters_come_back_byte_for_byte_oldest_first(opened: Open) -> None:
    opened().add([letter(3, at_ms=9), letter(2, at_ms=9), letter(1, at_ms=10)])
    opened().add([letter(7, queue="other")])
    assert list(opened().letters("q")) == [letter(2, at_ms=9), letter(3, at_ms=9), letter(1, at_ms=10)]
    assert (opened().count(), opened().count("q"), opened().count("other"), opened().count("none")) == (4, 3, 1, 0)


def test_what_is_there_already_stays_as_it_is(opened: Open) -> None:
    opened().add([letter(1, at_ms=1)])
    opened().add([letter(1, at_ms=2), letter(2)])
    assert [(one.id, one.at_ms) for one in opened().letters("q")] == [("1", 1), ("2", 2)]


def test_what_was_kept_long_enough_is_deleted_the_oldest_first(opened: Open) -> None:
    assert opened().expire(10, 5) == 0
    settings, clock = DeadSettings(max_age_s=1, archive_keep_s=2), ManualClock(wall_ms=7_000)
    opened().add([letter(number, at_ms=number * 1_000, queue=f"q{number % 2}") for number in (6, 2, 4, 3, 5)])
    assert opened().expire(5_000, 1) == 1
    assert [one.id for one in opened().letters("q0")] == ["4", "6"]
    assert expire_letters(opened(), settings, lambda: True, clock) == 0
    assert expire_letters(opened(), settings, lambda: False, clock) == 2
    assert expire_letters(opened(), settings, lambda: False, clock) == 0
    assert sorted(one.id for queue in ("q0", "q1") for one in opened().letters(queue)) == ["5", "6"]


def test_all_letters_of_a_call_are_kept_or_none(opened: Open) -> None:
    opened().add([letter(1)])
    broken = letter(3)
    object.__setattr__(broken, "at_ms", None)
    with pytest.raises(ArchiveError):
        opened().add([letter(2), broken])
    assert [one.id for one in opened().letters("q")] == ["1"]


def test_many_writers_make_the_table_together(opened: Open) -> None:
    failed: list[Exception] = []

    def write(place: int) -> None:
        try:
            opened().add([letter(place * 100 + number) for number in range(100)])
        except ArchiveError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [one.id for one in opened().letters("q")] == [f"{number}" for number in range(600)]


def test_reading_may_stop_halfway_and_writing_goes_on(opened: Open) -> None:
    opened().add([letter(number) for number in range(500)])
    with contextlib.closing(opened().letters("q")) as letters:  # type: ignore[type-var]
        assert next(letters).id == "0"
        opened().add([letter(1000)])
    assert opened().count() == 501


def test_an_address_that_leads_nowhere_says_so_without_its_password(tmp_path: Path) -> None:
    archive = open_archive("postgresql://hive:secret@127.0.0.1:1/letters?password=secret", tmp_path / "x")
    assert archive.place == "postgresql://hive@127.0.0.1:1/letters"
    with pytest.raises(ArchiveError) as failed:
        archive.add([letter(1)])
    assert "secret" not in str(failed.value)
    with pytest.raises(SettingsError, match="mysql"):
        open_archive("mysql://host/letters", tmp_path / "x")
    assert open_archive(f"sqlite:///{tmp_path / 'y'}", tmp_path / "x").place == str(tmp_path / "y")
    settings = load_settings(dead={"archive_url": "postgresql://hive:secret@host/letters"})
    assert "secret" not in repr(settings)
