"""A running hive for whoever needs one: join it, or start it for as long as it is used."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from hive.clock import SystemClock
from hive.errors import BrokerLockedError, HiveError
from hive.runtime.app import Hive
from hive.runtime.broker import EmbeddedBroker
from hive.runtime.home import Home
from hive.runtime.loading import DEFAULT_APP, load_app
from hive.runtime.lock import FileLock
from hive.runtime.patience import until
from hive.runtime.supervision.plan import HivePlan, wanted_types
from hive.runtime.supervision.session import Session, StartProgress
from hive.runtime.supervision.supervisor import QUIT_S
from hive.settings.model import Settings

#: Longest seconds that `hive down` waits for a supervisor that was launched to take the home.
LAUNCH_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningHive:
    """A hive whose pools serve.

    Attributes:
        app: the application, which is the current one.
        started: whether it was started for this use, rather than joined.
        startup_s: seconds from the call until all pools served.
        pools: agent types that are needed.
    """

    app: Hive
    started: bool
    startup_s: float
    pools: tuple[str, ...]


@contextmanager
def ensure_running(
    app: str = DEFAULT_APP,
    *,
    agent_types: Iterable[str] | None = None,
    slots: int | None = None,
    on_progress: Callable[[StartProgress], None] | None = None,
    timeout_s: float = 60.0,
) -> Iterator[RunningHive]:
    """Have a hive for the length of a ``with`` block.

    One that runs already is joined. Otherwise broker and pools are started, and stopped again once nobody uses them
    any more: at the end of the block, or when this process ends in whatever way. Several may use one at once; the last
    one's end stops it.

    An interrupt (``KeyboardInterrupt``) at the start or out of the block stops what was started for it at once, within
    about three seconds: tasks that still run there are handed back.

    Args:
        app: ``module:attribute`` of the application that the pools serve.
        agent_types: names of the types whose pools are needed; all of the application if not given.
        slots: of each pool, if pools have to be started; ``fleet.slots`` if not given.
        on_progress: called with every step, in this thread.
        timeout_s: seconds until all pools must serve.

    Raises:
        UnknownAgentTypeError: one of ``agent_types`` is declared by nobody.
        BrokerError: the broker cannot serve; the sentence says what to do.
        HiveError: the pools do not serve in time, or the home's hive serves another application.

    Example:
        >>> with ensure_running("shop:app") as hive:  # doctest: +SKIP
        ...     hive.app.tasks["shop.review"].delay("src")
    """
    clock = SystemClock()
    began_s = clock.monotonic_s()
    loaded = load_app(app)
    loaded.set_default()
    plan = HivePlan(slots=slots, beat=False, until_unused=True)
    session = Session(loaded, app, wanted_types(loaded, agent_types), plan, on_progress, timeout_s)
    try:
        session.join_or_start()
        yield RunningHive(
            app=loaded,
            started=session.started,
            startup_s=clock.monotonic_s() - began_s,
            pools=tuple(agent.name for agent in session.needed),
        )
    except KeyboardInterrupt:
        session.interrupt()
        raise
    finally:
        session.leave()


def start_detached(
    app: Hive, app_path: str, plan: HivePlan, on_progress: Callable[[StartProgress], None], timeout_s: float = 60.0
) -> None:
    """Start a hive that outlives this process; return once all of its pools serve.

    Raises:
        BrokerLockedError: one runs already with this home.
        BrokerError: the broker cannot serve.
        HiveError: the pools do not serve in time; then everything that was started is ended again.
    """
    home = Home(app.settings.home.absolute()).prepare()
    lock = FileLock(home.supervisor_lock)
    if lock.is_taken():
        raise BrokerLockedError(
            f"a hive (process {lock.signature()}) already runs with the home {home.path}: `hive status` shows it, "
            "`hive down` ends it, HIVE_HOME names another home"
        )
    session = Session(app, app_path, wanted_types(app, plan.agent_types), plan, on_progress, timeout_s)
    try:
        session.start()
    except (HiveError, KeyboardInterrupt):
        session.abandon()
        raise


def stop_running(settings: Settings) -> list[str]:
    """End the supervisor of a home with all of its parts, then the embedded broker, whoever started it.

    Tasks that run get ``worker.grace_s`` seconds. A hive that another command starts meanwhile is waited for and ended
    too. A repeat finds nothing to end.

    Returns:
        What was ended, in words.

    Raises:
        HiveError: the supervisor did not end in time.
    """
    ended = []
    home = Home(settings.home.absolute())
    lock = FileLock(home.supervisor_lock)
    process_id = _supervisor(home, lock)
    if process_id is not None:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(process_id).terminate()
        if not until(lambda: not lock.is_taken(), settings.worker.grace_s + QUIT_S + 30):
            raise HiveError(f"the supervisor (process {process_id}) has not ended; its log is in {home.logs}")
        ended.append(f"supervisor (process {process_id})")
    broker = EmbeddedBroker(settings)
    broker_id = broker.process_id
    if broker.stop():
        ended.append(f"broker (process {broker_id})")
    return ended


def _supervisor(home: Home, lock: FileLock) -> int | None:
    """Return the supervisor that has the home or is about to; none if there is none.

    One that was launched just now imports for a second before it takes the lock, and signs it an instant later.
    """
    launching = FileLock(home.launch_lock)
    until(lambda: lock.is_taken() or not launching.is_taken(), LAUNCH_S)

    def signed() -> int | None:
        process_id = lock.signature()
        return process_id if process_id is not None and psutil.pid_exists(process_id) else None

    until(lambda: signed() or not lock.is_taken(), LAUNCH_S)
    return signed() if lock.is_taken() else None
