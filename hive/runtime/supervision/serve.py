"""Running one part of a hive in this process, as the commands do and as the supervisor's children do."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from celery.signals import beat_init, worker_init, worker_ready

from hive.errors import BrokerLockedError
from hive.runtime.app import Hive
from hive.runtime.defaults import BEAT_SCHEDULER
from hive.runtime.home import Home
from hive.runtime.lock import FileLock
from hive.runtime.supervision.celery_arguments import PATCHING_POOLS

#: What a fresh interpreter runs for a pool that must patch blocking calls: the patch first, then Celery, then hive. gevent
#: 26 looks at every loaded module before it patches, which makes Celery's own module load all of Celery unpatched.
BOOTSTRAP = (
    "import sys\n"
    "if '--pool=gevent' in sys.argv:\n"
    "    from gevent import monkey; monkey.patch_all()\n"
    "from celery import maybe_patch_concurrency; maybe_patch_concurrency(sys.argv)\n"
    "from hive.runtime.supervision.child import main; main()\n"
)


#: The signal by which a worker is asked to take nothing more and to end once what it runs has ended.
DRAIN = signal.SIGUSR2


def serve(app: Hive, arguments: Sequence[str], on_ready: Callable[[], None] | None = None) -> int:
    """Run a worker, beat or Flower until it ends, with Celery's own handling of signals.

    Args:
        app: the application.
        arguments: as :mod:`hive.runtime.supervision.celery_arguments` builds them.
        on_ready: called once the worker consumes, or beat runs.

    Returns:
        The exit code.

    Raises:
        BrokerLockedError: another beat with the same home runs, and the application has a scheduler other than hive's.
    """
    beat_lock = FileLock(Home(app.settings.home).beat_lock)
    # hive's own may run as often as one likes: one of them leads.
    if arguments[0] == "beat" and not _fails_over(app, arguments):
        Home(app.settings.home).prepare()
        if not beat_lock.acquire(wait_s=0.5):
            raise BrokerLockedError(
                f"another beat (process {beat_lock.signature()}) runs with the home {app.settings.home}: "
                "two would send everything twice; end it first"
            )
        beat_lock.sign(os.getpid())

    def ready(**_: Any) -> None:
        if on_ready is not None:
            on_ready()

    workers: list[Any] = []

    def made(sender: Any, **_: Any) -> None:
        workers.append(sender)

    def drain(*_: Any) -> None:
        app.process.is_draining = True
        os.kill(os.getpid(), signal.SIGTERM)

    if arguments[0] == "worker":
        signal.signal(DRAIN, drain)
    worker_init.connect(made, weak=False)
    worker_ready.connect(ready, weak=False)
    beat_init.connect(ready, weak=False)
    try:
        app.start(argv=list(arguments))
        # Celery's own start forgets the exit code of its worker.
        return int(workers[0].exitcode or 0) if workers else 0
    finally:
        worker_init.disconnect(made)
        worker_ready.disconnect(ready)
        beat_init.disconnect(ready)
        beat_lock.release()


def _fails_over(app: Hive, arguments: Sequence[str]) -> bool:
    is_ours = app.conf.beat_scheduler == BEAT_SCHEDULER
    return is_ours and not any(word.startswith(("--scheduler", "-S")) for word in arguments)


def needs_patching(arguments: Sequence[str]) -> bool:
    """Whether a pool among ``arguments`` wants a fresh interpreter that patches blocking calls first."""
    return any(f"--pool={name}" in arguments for name in PATCHING_POOLS)


def replace_process(app_path: str, arguments: Sequence[str]) -> None:
    """Go on as a fresh interpreter that patches blocking calls and then serves; does not return."""
    os.execv(sys.executable, [sys.executable, "-c", BOOTSTRAP, app_path, *arguments])  # noqa: S606 - no shell is wanted
