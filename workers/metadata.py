"""A project's packaging metadata: what would make it fail to build, to install or to start."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from workers.text import Remark

_REFERENCE = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(?::\s*[A-Za-z_][\w.]*\s*)?(?:\[[^\]]*\]\s*)?$")
_REQUIREMENTS_NAME = re.compile(r"^(.*[-_.])?requirements([-_.].*)?\.txt$")
_COMMENT = re.compile(r"(^|\s)#.*$")
#: Lines of a requirements file that pip takes and that are no requirement: options, paths and addresses.
_NO_REQUIREMENT = re.compile(r"^(-|\.|/|[A-Za-z]:\\|[a-z+]+://|git\+|.*\$\{|.*\.(whl|zip|tar\.gz)$)|^[^\s\[@<>=!~;]*/")


def check_metadata(path: str, text: str, directory: Path) -> Iterator[Remark]:
    """Yield what is wrong with a ``pyproject.toml`` or a requirements file; of other files nothing.

    Args:
        path: the file, below the project's root.
        text: all of it.
        directory: where it lies, to look whether the files it names are there.
    """
    name = PurePosixPath(path).name
    if name == "pyproject.toml":
        yield from _pyproject(text, directory)
    elif _REQUIREMENTS_NAME.match(name):
        yield from _requirements(text)


def _requirements(text: str) -> Iterator[Remark]:
    logical = text.replace("\\\r\n", " \n").replace("\\\n", " \n")
    for number, line in enumerate(logical.splitlines(), start=1):
        # Options such as --hash follow a requirement.
        wanted = re.split(r"\s--?[a-z]", _COMMENT.sub("", line).strip(), maxsplit=1)[0].strip()
        if wanted and not _NO_REQUIREMENT.match(wanted):
            yield from _requirement(wanted, number)


def _requirement(wanted: str, line: int) -> Iterator[Remark]:
    try:
        Requirement(wanted)
    except InvalidRequirement as exc:
        reason = str(exc).splitlines()[0]
        yield Remark(rule="invalid-requirement", line=line, message=f"{wanted!r} is no requirement: {reason}")


def _pyproject(text: str, directory: Path) -> Iterator[Remark]:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        # Told by the check of TOML files.
        return
    project = _table(document.get("project"))
    if "project" in document:
        yield from _identity(text, project)
        yield from _files(text, project, directory)
        yield from _entry_points(text, project, directory)
    for wanted in _wanted(document, project):
        yield from _requirement(wanted, _line(text, wanted))


def _identity(text: str, project: dict[str, Any]) -> Iterator[Remark]:
    line = _line(text, "[project]")
    dynamic = _strings(project.get("dynamic"))
    if not isinstance(project.get("name"), str):
        yield Remark(rule="no-project-name", line=line, message="[project] has no name: it cannot be built")
    if not isinstance(project.get("version"), str) and "version" not in dynamic:
        message = "[project] has neither a version nor 'version' in dynamic: it cannot be built"
        yield Remark(rule="no-project-version", line=line, message=message)
    python = project.get("requires-python")
    if python is None and "requires-python" not in dynamic:
        message = "[project] has no requires-python: it is offered to every Python"
        yield Remark(rule="no-python-version", line=line, message=message)
    try:
        SpecifierSet(python if isinstance(python, str) else "")
    except InvalidSpecifier:
        message = f"requires-python {python!r} is no version specifier"
        yield Remark(rule="invalid-python-version", line=_line(text, "requires-python"), message=message)


def _files(text: str, project: dict[str, Any], directory: Path) -> Iterator[Remark]:
    for key in ("readme", "license"):
        value = project.get(key)
        name = _table(value).get("file") if key == "license" or isinstance(value, dict) else value
        if isinstance(name, str) and not (directory / name).is_file():
            message = f"{key} names the file {name!r}, which is not there: it cannot be built"
            yield Remark(rule="missing-metadata-file", line=_line(text, name), message=message)


def _entry_points(text: str, project: dict[str, Any], directory: Path) -> Iterator[Remark]:
    groups = [_table(project.get("scripts")), _table(project.get("gui-scripts"))]
    groups += [_table(group) for group in _table(project.get("entry-points")).values()]
    for name, reference in (item for group in groups for item in group.items()):
        found = _REFERENCE.match(reference) if isinstance(reference, str) else None
        if found is None:
            message = f"the entry point {name!r} is no reference such as 'package.module:function'"
            yield Remark(rule="broken-entry-point", line=_line(text, str(reference)), message=message)
        elif not _may_exist(directory, found[1].split(".")):
            message = f"the entry point {name!r} names the module {found[1]!r}, which the project does not have"
            yield Remark(rule="broken-entry-point", line=_line(text, reference), message=message)


def _may_exist(directory: Path, parts: list[str]) -> bool:
    """Whether a module is there, or belongs to a package that is not of this project."""
    roots = [root for root in (directory / "src", directory) if (root / parts[0]).is_dir()]
    if not roots or len(parts) == 1:
        return True
    places = [root.joinpath(*parts) for root in roots]
    # A compiled module has no .py of its own.
    return any(place.is_dir() or any(place.parent.glob(f"{place.name}.*")) for place in places)


def _wanted(document: dict[str, Any], project: dict[str, Any]) -> Iterator[str]:
    yield from _strings(_table(document.get("build-system")).get("requires"))
    yield from _strings(project.get("dependencies"))
    for table in (project.get("optional-dependencies"), document.get("dependency-groups")):
        for group in _table(table).values():
            yield from _strings(group)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _line(text: str, wanted: str) -> int:
    """Return the line in which something first stands; 0 if it is written otherwise."""
    return next((number for number, line in enumerate(text.splitlines(), start=1) if wanted in line), 0)
