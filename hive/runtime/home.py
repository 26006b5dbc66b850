"""The directory that the commands of one hive share."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from hive.database.archive import LetterArchive
from hive.database.opening import open_archive
from hive.errors import BrokerLockedError
from hive.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Home:
    """What lies where below ``settings.home``. Everything in it is readable by its owner only.

    Attributes:
        path: the directory.
    """

    path: Path

    @property
    def broker(self) -> Path:
        """Directory of the embedded broker: its data, lock, log and password."""
        return self.path / "broker"

    @property
    def logs(self) -> Path:
        """Directory of the logs of pools, beat and supervisor, one file each."""
        return self.path / "logs"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor while it lives."""
        return self.path / "supervisor.lock"

    @property
    def launch_lock(self) -> Path:
        """Held by a command that has launched a supervisor, until its pools serve: it may have no lock of its own yet."""
        return self.path / "launch.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by the commands that use the hive; a hive started for one command ends when nobody holds it."""
        return self.path / "users.lock"

    @property
    def beat_lock(self) -> Path:
        """Held by a beat with another scheduler than hive's while it lives: two would send everything twice."""
        return self.path / "beat.lock"

    @property
    def schedule(self) -> Path:
        """When beat sent what last."""
        return self.path / "beat-schedule"

    @property
    def state(self) -> Path:
        """What the supervisor runs, as JSON."""
        return self.path / "hive.json"

    @property
    def dead_letters(self) -> Path:
        """The archive of dead letters past the bounds of `settings.dead`."""
        return self.path / "dead-letters.sqlite"

    @property
    def checkpoints(self) -> Path:
        """The state of agents, where `checkpoints.database_url` names no database."""
        return self.path / "checkpoints.sqlite"

    @property
    def memories(self) -> Path:
        """What agents remember, where `memory.database_url` names no database."""
        return self.path / "memories.sqlite"

    def prepare(self) -> "Home":
        """Create the directories. A repeat changes nothing.

        Raises:
            BrokerLockedError: they cannot be created or written.
        """
        for directory in (self.path, self.broker, self.logs):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as exc:
                raise BrokerLockedError(
                    f"hive's directory {directory} cannot be created: {exc.strerror}; set HIVE_HOME to another one"
                ) from exc
            if not os.access(directory, os.W_OK | os.X_OK):
                raise BrokerLockedError(
                    f"hive's directory {directory} cannot be written by this user; set HIVE_HOME to another one"
                )
        return self


def archive_of(settings: Settings) -> LetterArchive:
    """Return the archive of dead letters that the settings mean; nothing is connected or made yet.

    Raises:
        SettingsError: its address is none, or what it needs is not installed.
    """
    url = settings.dead.archive_url
    return open_archive(url.get_secret_value() if url is not None else None, Home(settings.home).dead_letters)


def kept_secret(path: Path) -> str:
    """Return the secret kept in a file; make one if there is none. All processes that ask get the same.

    Args:
        path: the file, readable by its owner only.

    Raises:
        BrokerLockedError: it can be neither read nor written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _publish(path, secrets.token_urlsafe(24))
        return path.read_text().strip()
    except OSError as exc:
        raise BrokerLockedError(
            f"the password in {path} cannot be read or written: {exc.strerror}; set HIVE_HOME to a directory of yours"
        ) from exc


def _publish(path: Path, secret: str) -> None:
    """Let the file appear with its text in it, so that nobody reads half of it; the first one wins."""
    own = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    own.touch(mode=0o600, exist_ok=False)
    try:
        own.write_text(secret)
        os.link(own, path)
    except FileExistsError:
        return
    finally:
        own.unlink()
