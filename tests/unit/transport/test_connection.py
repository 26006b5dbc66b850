"""The address of a broker as people are shown it."""

import pytest

from hive.transport.connection import Connection


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("redis://localhost:6390/2", "redis://localhost:6390/2"),
        ("redis://me@localhost:6390/2", "redis://me@localhost:6390/2"),
        ("redis://:secret@localhost:6390/2", "redis://:**@localhost:6390/2"),
        ("rediss://me:secret@localhost:6390/2", "rediss://me:**@localhost:6390/2"),
    ],
)
def test_a_password_is_masked_and_none_invented(given: str, shown: str) -> None:
    assert Connection(given).as_uri() == shown
    assert Connection(given).as_uri(include_password=True) == given
