"""Locks between the commands of one host, which the kernel takes back from whoever dies."""

import fcntl
import os
import threading
import time
from pathlib import Path


class FileLock:
    """An advisory lock on a file: one holder alone, or many that share it.

    The lock belongs to the open file: it ends when the last process that has it open ends, however it ends, so there
    is no stale lock to clean up. The file itself stays; its text says who took the lock last.

    Args:
        path: the file; its directory must be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The open file, for a process that is to keep the lock after us; only while the lock is held."""
        if self._fd is None:
            raise ValueError(f"the lock {self.path} is not held")
        return self._fd

    def acquire(self, *, shared: bool = False, wait_s: float = 0.0) -> bool:
        """Take the lock if it is free.

        Args:
            shared: together with others that share it, rather than alone.
            wait_s: longest seconds to wait for it. Whoever must have it should allow for the instant in which
                :meth:`is_taken` of another process holds it.

        Returns:
            Whether it is held now. A repeat by the holder changes nothing.
        """
        pause, deadline_s = threading.Event(), time.monotonic() + wait_s
        while not self._take(shared=shared):
            if time.monotonic() >= deadline_s:
                return False
            pause.wait(0.02)
        return True

    def _take(self, *, shared: bool) -> bool:
        if self._fd is not None:
            return True
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def release(self) -> None:
        """Close our file; the lock is free once nobody else has it open. A repeat does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def keep(self) -> None:
        """Let the lock outlast a change of this process's program."""
        os.set_inheritable(self.fd, True)

    def is_taken(self) -> bool:
        """Whether anybody holds it now."""
        if self._fd is not None:
            return True
        if not self.path.exists():
            return False
        if not self.acquire(shared=True):
            return True
        self.release()
        return False

    def sign(self, process_id: int) -> None:
        """Write into the file which process the lock belongs to."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{process_id}\n".encode(), 0)

    def signature(self) -> int | None:
        """Return the process that signed last, if it can be read. It need not live: ask :meth:`is_taken` first."""
        try:
            text = self.path.read_text().strip()
        except OSError:
            return None
        return int(text) if text.isdigit() else None
