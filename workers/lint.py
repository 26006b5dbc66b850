"""Ruff, with nothing but the settings that stand here and in the agents that use it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ruff import find_ruff_bin

from workers.findings import Finding, Severity
from workers.tool import ToolFailedError, batches, run

#: The oldest Python hive runs on: rules that propose newer syntax propose nothing newer than this.
TARGET_VERSION = "py311"

#: The newest Python this ruff can parse.
NEWEST_VERSION = "py315"

#: Ruff's code for what it cannot parse.
INVALID_SYNTAX = "invalid-syntax"

#: Nothing of the reviewed project's or the user's configuration is read, and no cache is written.
ISOLATED = ("--isolated", "--no-cache")

#: Stack of ruff's threads: with the usual 2 MiB it aborts on expressions that Python still parses (seen: 2,500 deep).
STACK_BYTES = 256 * 1024 * 1024

_TIMEOUT_S = 240.0
_ENVIRONMENT = {"RUST_MIN_STACK": str(STACK_BYTES)}


def check(root: str, paths: Sequence[str], rules: Sequence[str], *, line_length: int = 120) -> list[dict[str, Any]]:
    """Return what ``ruff check`` says about some files, as ruff writes it, with file names below ``root``.

    Args:
        root: the project; ruff runs there, but writes nothing.
        paths: files below it.
        rules: rules and prefixes to select.
        line_length: longest line, in characters.

    Raises:
        ToolFailedError: ruff failed.
        ToolTimeoutError: it took longer than four minutes.
    """
    options = ("--select", ",".join(rules), "--line-length", str(line_length))
    found = _ruff(root, paths, TARGET_VERSION, options)
    doubtful = sorted({item["filename"] for item in found if item["code"] == INVALID_SYNTAX})
    if not doubtful:
        return found
    # What only an older Python cannot parse is no defect: the file is known to parse with the Python at hand.
    broken = {_place(item) for item in _ruff(root, doubtful, NEWEST_VERSION, options)}
    return [item for item in found if item["code"] != INVALID_SYNTAX or _place(item) in broken]


def findings(agent: str, items: Iterable[dict[str, Any]], severities: Sequence[tuple[str, Severity]]) -> list[Finding]:
    """Return ruff's own records as findings.

    Args:
        agent: agent type that found them.
        items: what :func:`check` returned.
        severities: prefixes of rules with their severity; the longest prefix that fits counts.
    """
    by_prefix = sorted(severities, key=lambda pair: len(pair[0]), reverse=True)
    return [
        Finding(
            agent=agent,
            tool="ruff",
            rule=item["code"],
            severity=next((level for prefix, level in by_prefix if item["code"].startswith(prefix)), Severity.LOW),
            path=item["filename"],
            line=item["location"]["row"],
            column=item["location"]["column"],
            message=item["message"],
        )
        for item in items
    ]


def parses(text: str) -> bool:
    """Tell whether the newest Python that ruff knows could parse ``text``; what ruff crashes on cannot be parsed."""
    command = (find_ruff_bin(), "check", *ISOLATED, "--target-version", NEWEST_VERSION, "--select", "E902")
    options = ("--output-format", "json", "-")
    try:
        output = run((*command, *options), timeout_s=_TIMEOUT_S, env=_ENVIRONMENT, stdin=text, good=(0, 1))
    except ToolFailedError:
        return False
    return not json.loads(output)


def _ruff(root: str, paths: Sequence[str], target: str, options: Sequence[str]) -> list[dict[str, Any]]:
    command = (find_ruff_bin(), "check", *ISOLATED, "--target-version", target, *options, "--output-format", "json")
    found: list[dict[str, Any]] = []
    for batch in batches(paths):
        output = run((*command, "--", *batch), cwd=root, timeout_s=_TIMEOUT_S, env=_ENVIRONMENT, good=(0, 1))
        found += json.loads(output)
    for item in found:
        # Ruff writes absolute names, below the directory it found itself in: without symbolic links.
        item["filename"] = Path(item["filename"]).relative_to(Path(root).resolve()).as_posix()
    return found


def _place(item: dict[str, Any]) -> tuple[str, str, int, int]:
    return item["code"], item["filename"], item["location"]["row"], item["location"]["column"]
