"""The one tree of errors.

Every error is a sentence that says what happened and what to do, and carries what it speaks of as fields::

    HiveError
    ├── SettingsError            a setting is unknown, malformed or contradicts another
    ├── UnknownAgentTypeError    a task names an agent type that nobody declared
    ├── BrokerError              the broker cannot be used as it is
    │   ├── BrokerMissingError   there is no broker, and none can be started
    │   ├── BrokerRefusedError   it answers, but not to us: password, version, eviction policy, format
    │   └── BrokerLockedError    its data directory is in use or cannot be written
    ├── MessageTooLargeError     a message is over ``max_message_bytes``
    ├── QueueFull                a queue holds as many messages as its bound allows
    ├── StaleLeaseError          a delivery has been given to another worker
    ├── DeadLetteredError        the result of a task whose message has been set aside
    ├── ArgumentsRefusedError    the pydantic model of an argument does not take what a task was called with
    ├── GuardRefusedError        a guard says no, now or for ever
    │   ├── BreakerOpenError     the breaker of a dependency is open
    │   ├── LimitedError         a limit has no room within the time that may be waited
    │   └── DeadlineExceededError  a task did not begin before its deadline
    ├── CheckpointError          an agent's checkpoint cannot be written or read
    │   ├── StaleCheckpointError   somebody with a newer fencing token has written since
    │   ├── CheckpointDamagedError none of the generations on disk is valid
    │   ├── CheckpointKeyError     it is encrypted with a key that is not there
    │   └── CheckpointSchemaError  its state is of a schema that cannot be read here
    └── InputError               what the user handed in cannot be worked on
"""

import difflib
from collections.abc import Iterable


class HiveError(Exception):
    """Anything hive raises on purpose.

    Attributes:
        retryable: whether the same call may succeed later without a change by anybody.
        exit_code: what a command exits with when this error ends it.
    """

    retryable = False
    exit_code = 1


class SettingsError(HiveError):
    """A setting is unknown, malformed or contradicts another one."""

    exit_code = 2


class InputError(HiveError):
    """What the user handed in (a path, a name, a number) cannot be worked on."""

    exit_code = 2


class UnknownAgentTypeError(HiveError):
    """A task or a command names an agent type that nobody declared."""

    exit_code = 2

    def __init__(self, name: str, known: Iterable[str], task: str | None = None) -> None:
        self.name, self.task = name, task
        where = f"task {task!r} asks for" if task else "there is no"
        tail = "" if not task else ", which nobody declared"
        super().__init__(f"{where} agent type {name!r}{tail}{suggestion(name, known)}")


class BrokerError(HiveError):
    """The broker cannot be used as it is."""


class BrokerMissingError(BrokerError):
    """There is no broker at the address, and none can be started."""

    retryable = True


class BrokerRefusedError(BrokerError):
    """The broker answers, but cannot serve us: wrong password, too old, evicting keys, newer format."""


class BrokerLockedError(BrokerError):
    """The embedded broker's data directory is in use by another or cannot be written."""


class MessageTooLargeError(HiveError):
    """A message is larger than the broker is allowed to hold."""

    def __init__(self, size_bytes: int, limit_bytes: int, queue: str) -> None:
        self.size_bytes, self.limit_bytes, self.queue = size_bytes, limit_bytes, queue
        super().__init__(
            f"a message of {size_bytes:,} bytes for queue {queue!r} is over the limit of {limit_bytes:,} bytes: "
            "pass a reference to the data instead, or raise delivery.max_message_bytes"
        )


class QueueFull(HiveError):  # noqa: N818 - named like the standard library's queue.Full
    """As many messages wait in a queue as its bound allows; this one was not published.

    Attributes:
        queue: the queue.
        length: messages that waited there.
        bound: how many may.
        wait_s: seconds the caller was to wait for room; 0: none.
    """

    retryable = True

    def __init__(self, queue: str, length: int, bound: int, wait_s: float = 0.0) -> None:
        self.queue, self.length, self.bound, self.wait_s = queue, length, bound, wait_s
        super().__init__(queue, length, bound, wait_s)

    def __str__(self) -> str:
        return (
            f"queue {self.queue!r} holds {self.length:,} messages of the {self.bound:,} it may hold: publish later, let "
            "the caller wait (when_full = 'wait'), or start more workers"
        )


class StaleLeaseError(HiveError):
    """The delivery has been given to another worker; whatever this one has to say about it no longer counts."""

    def __init__(self, queue: str, token: int | str, message_id: str | None = None) -> None:
        self.queue, self.token, self.message_id = queue, token, message_id
        super().__init__(
            f"delivery {token} of {message_id or 'a message'} from queue {queue!r} is no longer ours: "
            "its lease ended and another worker holds it now"
        )


class DeadLetteredError(HiveError):
    """The result of a task whose message has become a dead letter; a redrive may still bring another result.

    Its arguments are its fields, so that a result backend can store and restore it.

    Attributes:
        letter: id of the dead letter.
        queue: where it lies.
        reason: why, in a word.
        cause: the same as a sentence.
    """

    def __init__(self, letter: str, queue: str, reason: str, cause: str) -> None:
        self.letter, self.queue, self.reason, self.cause = letter, queue, reason, cause
        super().__init__(letter, queue, reason, cause)

    def __str__(self) -> str:
        return (
            f"dead letter {self.letter} of queue {self.queue!r} ({self.reason}): {self.cause}; "
            f"`hive dead show {self.letter}` shows it, `hive dead redrive --id {self.letter}` sends it again"
        )


class ArgumentsRefusedError(HiveError, ValueError):
    """The pydantic model of an argument does not take what a task was called with.

    Its arguments are its fields, so that a result backend can store and restore it.

    Attributes:
        task: name of the task.
        argument: name of the argument.
        problems: what was expected where, as a sentence; it does not say what was given.
    """

    def __init__(self, task: str, argument: str, problems: str) -> None:
        self.task, self.argument, self.problems = task, argument, problems
        super().__init__(task, argument, problems)

    def __str__(self) -> str:
        return f"{self.task} does not take its argument {self.argument!r}: {self.problems}"


class GuardRefusedError(HiveError):
    """A guard let a task not run.

    Its arguments are its fields, so that a result backend can store and restore it.

    Attributes:
        task: name of the task, or of what asked.
        guard: kind and name of the guard.
        reason: why, as a sentence.
    """

    retryable = True

    def __init__(self, task: str, guard: str, reason: str) -> None:
        self.task, self.guard, self.reason = task, guard, reason
        super().__init__(task, guard, reason)

    def __str__(self) -> str:
        return f"{self.task} was refused by {self.guard}: {self.reason}"


class DeadlineExceededError(GuardRefusedError):
    """A task did not begin before its deadline, and declares no fallback that has a value."""

    retryable = False


class LimitedError(GuardRefusedError):
    """A limit has no room for a call within the time it may wait.

    Attributes:
        name: the limit, with the key it was asked for.
        retry_after_s: seconds until its turn comes.
    """

    def __init__(self, name: str, retry_after_s: float) -> None:
        self.name, self.retry_after_s = name, retry_after_s
        super().__init__(name, "limit", "no room")
        self.args = (name, retry_after_s)

    def __str__(self) -> str:
        return f"the limit {self.name} has no room: come again in {self.retry_after_s:.3f} s"


class BreakerOpenError(GuardRefusedError):
    """The breaker of a dependency is open, or half-open with all its probes given out: do not call it now.

    Attributes:
        name: the dependency.
        retry_after_s: seconds until it may be worth asking again.
    """

    def __init__(self, name: str, reason: str, retry_after_s: float) -> None:
        self.name, self.retry_after_s = name, retry_after_s
        super().__init__(name, f"breaker:{name}", reason)
        self.args = (name, reason, retry_after_s)

    def __str__(self) -> str:
        return f"the breaker of {self.name!r} says no: {self.reason}; ask again in {self.retry_after_s:.1f} s"


class CheckpointError(HiveError):
    """A checkpoint cannot be written or read.

    Attributes:
        agent: whose checkpoint it is.
    """

    def __init__(self, agent: str, why: str) -> None:
        self.agent = agent
        super().__init__(agent, why)

    def __str__(self) -> str:
        return f"checkpoint of agent {self.agent!r}: {self.args[1]}"


class StaleCheckpointError(CheckpointError):
    """A checkpoint was written with a newer fencing token: the writer's delivery is another's now, nothing was written.

    Attributes:
        token: that was presented.
        newest_token: that was seen.
    """

    def __init__(self, agent: str, token: int, newest_token: int) -> None:
        self.token, self.newest_token = token, newest_token
        super().__init__(agent, "")
        self.args = (agent, token, newest_token)

    def __str__(self) -> str:
        return (
            f"checkpoint of agent {self.agent!r}: fencing token {self.token} is older than {self.newest_token}, with "
            "which another has written since: this writer's work has been given away, and nothing was written"
        )


class CheckpointDamagedError(CheckpointError):
    """There are checkpoints, and none of the newest three is valid; ``hive checkpoints list`` shows what is left."""


class CheckpointKeyError(CheckpointError):
    """A checkpoint is encrypted with a key that is not among ``checkpoints.keys``, or is not what it was."""


class CheckpointSchemaError(CheckpointError):
    """The state of a checkpoint has a schema version that is newer than known here, or that cannot be upgraded."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the tail of an error sentence that names the nearest known word, or all of them if none is near."""
    words = sorted(known)
    near = difflib.get_close_matches(name, words, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(words)}" if words else ""
