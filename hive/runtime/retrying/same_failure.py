"""Telling the same failure from another: what two attempts of a task have in common that fail in the same way.

A bug that shows again on another worker is none of the worker's: neither its host, nor its memory, nor what ran on it
before. So the message is poison, and further retries would only repeat it. Only bugs are compared: a dependency that is
away fails in the same way everywhere, and comes back.
"""

import re
from hashlib import blake2b

#: What differs between two runs of the same code that fail in the same way: where an object lies in memory.
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


def kind_of(error: BaseException) -> str:
    """Return what stands for a failure: its type, where in the code it was raised, and its message."""
    place, frame = "", error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        place, frame = f"{code.co_filename}:{code.co_qualname}:{frame.tb_lineno}", frame.tb_next
    kind = "\0".join((type(error).__qualname__, place, _ADDRESS.sub("0x", str(error))))
    return blake2b(kind.encode("utf-8", "backslashreplace"), digest_size=6).hexdigest()
