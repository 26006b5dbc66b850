"""The general developer: what no other agent looks at.

Data and configuration files that cannot be read, packaging metadata that cannot work, merge conflicts, notes people left
to themselves, mixed line ends and indentation, and file names that do not travel.
"""

import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from hive import shared_task
from workers.datafiles import check_for
from workers.findings import Finding, Outcome, Severity, Unit, in_order
from workers.metadata import check_metadata
from workers.notes import COMMENTED_NAMES, COMMENTED_SUFFIXES, conflicts, mixed_line_ends, other_notes, python_notes
from workers.passages import is_document
from workers.source import Reading, UnreadableError, read_bytes
from workers.task import AgentTask
from workers.text import Remark, decode

AGENT = "general_developer"

#: Severity of each rule.
SEVERITIES = {
    "broken-entry-point": Severity.HIGH,
    "case-collision": Severity.MEDIUM,
    "duplicate-key": Severity.MEDIUM,
    "fixme": Severity.LOW,
    "invalid-ini": Severity.HIGH,
    "invalid-json": Severity.HIGH,
    "invalid-python-version": Severity.HIGH,
    "invalid-requirement": Severity.HIGH,
    "invalid-toml": Severity.HIGH,
    "invalid-yaml": Severity.HIGH,
    "large-file": Severity.LOW,
    "merge-conflict": Severity.HIGH,
    "missing-metadata-file": Severity.HIGH,
    "mixed-indentation": Severity.MEDIUM,
    "mixed-line-endings": Severity.LOW,
    "no-project-name": Severity.HIGH,
    "no-project-version": Severity.HIGH,
    "no-python-version": Severity.LOW,
    "todo": Severity.INFO,
    "unportable-name": Severity.LOW,
}

#: Files above this size slow every clone and search down.
LARGE_FILE_BYTES = 1_000_000

#: Other texts in which conflicts and notes are looked for, besides Python, documents and data files.
TEXT_SUFFIXES = COMMENTED_SUFFIXES | {".csv", ".in", ".lua", ".sql"}
_TEXT_NAMES = COMMENTED_NAMES | {"LICENSE", "README", "CHANGELOG"}
_UNPORTABLE = re.compile(r'[<>:"\\|?*\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
_PYTHON = (".py", ".pyi")


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.general_developer.survey", pydantic=True)
def survey(unit: Unit) -> Outcome:
    """Look at what no other agent looks at.

    Args:
        unit: all files of the project, documents and data too.
    """
    reading = Reading(unit.model_copy(update={"files": _python(unit)}), AGENT)
    found = [_finding(path, remark) for path, remark in _names(unit.files)]
    for source in reading:
        try:
            found += [_finding(source.path, remark) for remark in python_notes(source.text)]
        except (tokenize.TokenError, IndentationError):
            reading.skip(source.path, "its comments cannot be told from its code")
    for path in sorted(unit.files):
        found += [_finding(path, remark) for remark in _raw(unit, path)]
    for path in sorted(filter(_is_text, unit.files)):
        try:
            found += [_finding(path, remark) for remark in _other(unit, path)]
        except UnreadableError as exc:
            reading.skip(path, str(exc))
    kinds = Counter(PurePosixPath(path).suffix.lower() or "(none)" for path in unit.files)
    return Outcome(
        agent=AGENT,
        findings=in_order(found),
        skipped=tuple(reading.skipped),
        facts={"files": len(unit.files), "files_by_kind": dict(sorted(kinds.items()))},
    )


def _python(unit: Unit) -> tuple[str, ...]:
    return tuple(sorted(path for path in unit.files if path.endswith(_PYTHON)))


def _is_text(path: str) -> bool:
    """Whether a file is a text by its name, and not Python."""
    name = PurePosixPath(path)
    is_known = name.suffix.lower() in TEXT_SUFFIXES or name.name in _TEXT_NAMES or is_document(path)
    return not path.endswith(_PYTHON) and (is_known or check_for(path) is not None)


def _names(paths: tuple[str, ...]) -> Iterator[tuple[str, Remark]]:
    """Yield what is wrong with the files' names."""
    folded: dict[str, str] = {}
    for path in sorted(paths):
        other = folded.setdefault(path.casefold(), path)
        if other != path:
            message = f"differs from {other!r} in case only: one of them is lost where names ignore case"
            yield path, Remark(rule="case-collision", message=message)
        if any(_UNPORTABLE.search(part) for part in path.split("/")):
            yield path, Remark(rule="unportable-name", message="Windows does not take this name")


def _raw(unit: Unit, path: str) -> Iterator[Remark]:
    """Yield what can be told without knowing how a file is encoded, also of Python that does not parse."""
    file = Path(unit.root, path)
    if not (path.endswith(_PYTHON) or _is_text(path)):
        yield from _size(file)
        return
    try:
        text = read_bytes(file).decode("latin-1")
    except UnreadableError:
        # Told by whoever reads it as what it is.
        return
    yield from _size(file)
    yield from conflicts(text)
    yield from mixed_line_ends(text)


def _size(file: Path) -> Iterator[Remark]:
    try:
        size_bytes = file.stat().st_size
    except OSError:
        # It went away since the project was listed; nothing is left to be said of it.
        return
    if size_bytes > LARGE_FILE_BYTES:
        yield Remark(rule="large-file", message=f"the file has {size_bytes / 1e6:.1f} MB")


def _other(unit: Unit, path: str) -> Iterator[Remark]:
    """Yield what is wrong with a text that is no Python."""
    text = decode(read_bytes(Path(unit.root, path)))
    check = check_for(path)
    if check is not None and not list(conflicts(text)):
        yield from check(text)
    yield from check_metadata(path, text, Path(unit.root, path).parent)
    yield from other_notes(path, text)


def _finding(path: str, remark: Remark) -> Finding:
    return Finding(
        agent=AGENT,
        tool="hive",
        rule=remark.rule,
        severity=SEVERITIES[remark.rule],
        path=path,
        line=remark.line,
        column=remark.column,
        message=remark.message,
    )
