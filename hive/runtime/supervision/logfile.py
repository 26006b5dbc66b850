"""Logs that do not grow for ever."""

import os
import shutil
from pathlib import Path

#: A log is cut at this size; the part before is kept once, beside it.
LOG_MAX_BYTES = 20 * 1024 * 1024


def trim(log: Path, max_bytes: int = LOG_MAX_BYTES) -> bool:
    """Move what a log holds to ``LOG.1`` if it is over the bound. Whoever appends to it goes on undisturbed.

    Warning: lines written in the instant between the copy and the cut are lost.

    Args:
        log: a file opened for appending by those who write it.
        max_bytes: the bound.

    Returns:
        Whether it was cut.
    """
    if not log.exists() or log.stat().st_size <= max_bytes:
        return False
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True
