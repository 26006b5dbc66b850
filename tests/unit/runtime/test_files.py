"""Locks, secrets and logs on disk."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hive.runtime.home import kept_secret
from hive.runtime.lock import FileLock
from hive.runtime.supervision.logfile import trim


def test_one_holds_a_lock_alone_or_many_share_it(tmp_path: Path) -> None:
    one, two, three = (FileLock(tmp_path / "lock") for _ in range(3))
    assert not one.is_taken()
    assert one.acquire()
    assert one.acquire()
    one.sign(42)
    assert not two.acquire()
    assert not two.acquire(shared=True)
    assert two.is_taken()
    assert two.signature() == 42
    one.release()
    one.release()
    assert two.acquire(shared=True)
    assert three.acquire(shared=True)
    assert not one.acquire(wait_s=0.05)
    with pytest.raises(ValueError, match="not held"):
        _ = one.fd


def test_all_who_ask_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: kept_secret(tmp_path / "deep" / "secret"), range(32)))
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 32
    assert (tmp_path / "deep" / "secret").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["secret"]


def test_a_log_is_cut_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "pool.log"
    with log.open("a") as writer:
        writer.write("x" * 100)
        writer.flush()
        assert not trim(log, 100)
        assert trim(log, 99)
        writer.write("after\n")
    assert log.read_text() == "after\n"
    assert (tmp_path / "pool.log.1").read_text() == "x" * 100
    assert not trim(tmp_path / "absent.log")
