"""What a retried message carries about the attempts before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hive.resilience.failure import Cell

#: The header of the message.
HEADER = "hive_retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRecord:
    """Read from a message's header; what is not of hive's making there counts as absent.

    Attributes:
        failed_ms: when the first attempt failed, by the clock of its worker.
        cause: why the last attempt failed.
        bin: bin of the elapsed time in which an adaptive strategy chose this retry; ``None``: none did.
    """

    failed_ms: int
    cause: str
    bin: int | None = None

    @classmethod
    def of(cls, request: Any) -> "RetryRecord | None":
        """Return what the request's message says, or ``None``."""
        headers = getattr(request, "headers", None)
        found = headers.get(HEADER) if isinstance(headers, Mapping) else None
        if not isinstance(found, Mapping):
            return None
        failed_ms, cause, chosen = found.get("failed_ms"), found.get("cause"), found.get("bin")
        if not isinstance(failed_ms, int) or not isinstance(cause, str) or not isinstance(chosen, int | None):
            return None
        return cls(failed_ms=failed_ms, cause=cause, bin=chosen)

    def header(self) -> dict[str, Any]:
        """Return it as the header carries it."""
        return {"failed_ms": self.failed_ms, "cause": self.cause, "bin": self.bin}

    def cell(self, bin_now: int) -> Cell | None:
        """Return the cell whose outcome an attempt made in this bin tells, if anybody wants to learn it."""
        return None if self.bin is None else (self.bin, max(bin_now, self.bin))
