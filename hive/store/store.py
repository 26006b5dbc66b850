"""The store: every operation on the broker, one method for each script."""

from hive.store.answers import Answers
from hive.store.booking import Booking
from hive.store.breakers import Breakers
from hive.store.checkpoints import Checkpoints
from hive.store.claiming import Claiming
from hive.store.deadletters import DeadLetters
from hive.store.finishing import Finishing
from hive.store.lifecycles import Lifecycles
from hive.store.limiting import Limiting
from hive.store.publishing import Publishing
from hive.store.quarantine import Quarantine
from hive.store.reaping import Reaping
from hive.store.retry_state import RetryState
from hive.store.runs import Runs
from hive.store.scaling import Scaling
from hive.store.setting_aside import SettingAside
from hive.store.upkeep import Upkeep
from hive.store.use import Use


class Store(
    Publishing,
    Claiming,
    Finishing,
    SettingAside,
    Reaping,
    RetryState,
    Quarantine,
    DeadLetters,
    Upkeep,
    Answers,
    Breakers,
    Limiting,
    Booking,
    Use,
    Checkpoints,
    Runs,
    Lifecycles,
    Scaling,
):
    """All operations on the broker's queues; see :class:`hive.store.caller.Caller` for what it is made of.

    It holds no state but its client, so it may be shared by threads as far as the client may.
    """
