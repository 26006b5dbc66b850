"""The Lua scripts: loading them from the package and calling them by their digest."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError

from hive.store.faults import translated

INCLUDE = re.compile(r"^--include (\w+)$", re.MULTILINE)
CARRIED = "--carried\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One script.

    Attributes:
        name: the operation it carries out, and the name of its file.
        text: what is sent to the server, parts included.
        digest: its SHA-1, under which the server keeps it.
    """

    name: str
    text: str
    digest: str


def source(name: str) -> str:
    """Return the text of a script file as it lies in the package; ``parts/<name>`` for a shared part."""
    return (resources.files("hive.store") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


@cache
def load(name: str) -> Script:
    """Return a script with its shared parts put in where it says ``--include <part>``.

    ``<name>:<other>``: with the text of another one where it says ``--carried``, as a function of ``KEYS`` and ``ARGV``.
    """
    own, _, carried = name.partition(":")
    text = INCLUDE.sub(lambda found: source(f"parts/{found[1]}"), source(own))
    if carried:
        text = text.replace(CARRIED, load(carried).text.partition("\n")[2])
    return Script(name=name, text=text, digest=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def spelled(values: Sequence[Any]) -> list[Any]:
    """Return arguments of a command with numbers as text.

    hiredis prints numbers by a call that runs signal handlers, and ends the process if one of them raises then, as
    Celery's does when a soft time limit is over.
    """
    return [str(value) if type(value) is int or type(value) is float else value for value in values]


def run(client: Any, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Call a script and return its reply as redis-py decodes it.

    A server that does not know the script has not run it: it is loaded and called once more. Nothing else is ever
    repeated, because a reply can be lost after the script ran.

    Args:
        client: a ``redis.Redis`` that repeats nothing by itself; its replies are untyped here.
        name: the script.
        keys: in the order of the script's header.
        arguments: in the order of the script's header.

    Raises:
        BrokerGoneError: no connection, or the server cannot serve writes at present.
        BrokerFullError: the server is at its memory limit and the script would add to it.
    """
    script, given = load(name), spelled((len(keys), *keys, *arguments))
    with translated(name):
        try:
            return client.execute_command("EVALSHA", script.digest, *given)
        except NoScriptError:
            return client.execute_command("EVAL", script.text, *given)
