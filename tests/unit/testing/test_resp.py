import random

from hive.testing.resp import CommandReader

STREAM = b"*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nset\r\n$1\r\nk\r\n$4\r\n\r\n*1\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"


def test_commands_are_found_however_the_stream_is_cut(rng: random.Random) -> None:
    for _ in range(50):
        reader, found, rest = CommandReader(), [], STREAM
        while rest:
            cut = rng.randint(1, len(rest))
            found += reader.feed(rest[:cut])
            rest = rest[cut:]
        assert found == ["PING", "SET", "GET"]


def test_bytes_that_are_no_commands_name_none() -> None:
    assert CommandReader().feed(b"\x16\x03\x01\x02\x00") == []
