"""What goes wrong with the broker, in our words.

redis-py reports READONLY, OOM and MISCONF as errors of the reply, which end a stock worker after a failover. Here
everything that goes away by itself is an error of the connection, so that consumers and publishers reconnect.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from hive.errors import BrokerError, BrokerRefusedError

_PASSING = (
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "BUSY",
    "UNBLOCKED",
    "TRYAGAIN",
    "CLUSTERDOWN",
)


class BrokerGoneError(BrokerError, exceptions.ConnectionError):
    """The broker cannot be reached, or serves nobody just now: connect again and repeat.

    It is a ``redis.ConnectionError`` too, which is what kombu and Celery reconnect on.
    """

    retryable = True


class BrokerFullError(BrokerError):
    """The broker is at ``maxmemory``: it takes no new message until some have been worked on.

    Workers still claim and finish; publishing succeeds again once there is room.
    """

    retryable = True


class BeingReapedError(BrokerRefusedError):
    """A consumer cannot register on a queue while what it held there is being taken away."""

    retryable = True


class BatchPublishError(BrokerError):
    """Some messages of a batch were not published.

    Attributes:
        accepted: positions of the messages that are on the broker (or were dropped as repeats).
        unknown: positions of those whose reply was lost; publishing them again with their dedup ids is safe.
        refused: positions of those that were not published.
    """

    retryable = True

    def __init__(self, accepted: list[int], unknown: list[int], refused: list[int], cause: Exception) -> None:
        self.accepted, self.unknown, self.refused = accepted, unknown, refused
        super().__init__(
            f"{len(accepted)} of {len(accepted) + len(unknown) + len(refused)} messages were published, {len(unknown)} "
            f"have no reply and {len(refused)} were not sent: {cause}"
        )


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Raise redis-py's errors as ours, naming the operation they ended.

    Errors of the reply that do not go away by themselves (a wrong type, a bug in a script) pass as they are.
    """
    try:
        yield
    except exceptions.NoScriptError:
        raise
    except (exceptions.AuthenticationError, exceptions.AuthorizationError):
        raise
    except exceptions.ResponseError as error:
        text = str(error)
        if isinstance(error, exceptions.OutOfMemoryError) or text.startswith("OOM"):
            raise BrokerFullError(f"{operation}: the broker is at its memory limit ({text})") from error
        if isinstance(error, exceptions.ReadOnlyError) or text.startswith(_PASSING):
            raise BrokerGoneError(f"{operation}: the broker cannot serve this now ({text})") from error
        raise
    except exceptions.ConnectionError as error:
        if isinstance(error, BrokerGoneError):
            raise
        raise BrokerGoneError(f"{operation}: {error}") from error
    except (exceptions.TimeoutError, OSError) as error:
        raise BrokerGoneError(f"{operation}: no answer from the broker: {error}") from error
