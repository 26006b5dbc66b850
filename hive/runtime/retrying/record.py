"""What a retried message carries about the attempts before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hive.deadletter.history import RETRY
from hive.resilience.failure import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRecord:
    """Read from a message's header; what is not of hive's making there counts as absent.

    Attributes:
        failed_ms: when the first attempt failed, by the clock of its worker.
        cause: why the last attempt failed.
        bin: bin of the elapsed time in which an adaptive strategy chose this retry; ``None``: none did.
        kind: stands for the last failure (:mod:`hive.runtime.retrying.same_failure`); empty: not known.
        worker: where it happened.
    """

    failed_ms: int
    cause: str
    bin: int | None = None
    kind: str = ""
    worker: str = ""

    @classmethod
    def of(cls, request: Any) -> "RetryRecord | None":
        """Return what the request's message says, or ``None``."""
        headers = getattr(request, "headers", None)
        found = headers.get(RETRY) if isinstance(headers, Mapping) else None
        if not isinstance(found, Mapping):
            return None
        failed_ms, cause, chosen = found.get("failed_ms"), found.get("cause"), found.get("bin")
        if not isinstance(failed_ms, int) or not isinstance(cause, str) or not isinstance(chosen, int | None):
            return None
        kind, worker = str(found.get("kind") or ""), str(found.get("worker") or "")
        return cls(failed_ms=failed_ms, cause=cause, bin=chosen, kind=kind, worker=worker)

    def header(self) -> dict[str, Any]:
        """Return it as the header carries it."""
        known = {"failed_ms": self.failed_ms, "cause": self.cause, "bin": self.bin}
        return {**known, "kind": self.kind, "worker": self.worker}

    def is_same_elsewhere(self, before: "RetryRecord | None") -> bool:
        """Whether this is the failure of the attempt before, and another worker's."""
        if before is None or not before.worker or not self.worker:
            return False
        return self.kind == before.kind != "" and self.worker != before.worker

    def cell(self, bin_now: int) -> Cell | None:
        """Return the cell whose outcome an attempt made in this bin tells, if anybody wants to learn it."""
        return None if self.bin is None else (self.bin, max(bin_now, self.bin))
