"""The documentation writer: which public objects lack a docstring, what docstrings get wrong, and an outline of the API.

Public is what a user can reach: no leading underscore in the path or the name, and in ``__all__`` where a module has
one. Tests, overloads, overrides and methods of the language's own protocols need no docstring.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import griffe

from hive import shared_task
from workers.findings import Finding, Outcome, Severity, Unit, in_order
from workers.source import Reading, Source
from workers.suite import serves_tests
from workers.task import AgentTask

AGENT = "documentation_writer"

#: Severity of each rule.
SEVERITIES = {
    "undocumented-module": Severity.LOW,
    "undocumented-class": Severity.LOW,
    "undocumented-function": Severity.LOW,
    "undocumented-parameter": Severity.LOW,
    "unknown-parameter": Severity.MEDIUM,
}

#: Characters of a docstring's first line that the outline repeats.
SUMMARY_CHARS = 160

#: Parameters that one finding names.
LISTED_NAMES = 5

#: Files that are run, not used.
_SCRIPTS = {"setup.py", "__main__.py", "conf.py"}

Documented = griffe.Module | griffe.Class | griffe.Function | griffe.Attribute


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.documentation_writer.review", pydantic=True)
def review(unit: Unit) -> Outcome:
    """Review the docstrings of a unit and outline its public API, without importing anything.

    Args:
        unit: some files of a project.
    """
    reading = Reading(_documentable(unit), AGENT)
    found: list[Finding] = []
    api: dict[str, list[dict[str, Any]]] = {}
    documented = total = 0
    for source in reading:
        try:
            module = griffe.visit(PurePosixPath(source.path).stem, source.file, source.text)
            objects = list(public_objects(module)) if source.tree.body else []
            found += [item for thing in objects for item in _judged(source, thing)]
            api[source.path] = [_outlined(thing) for thing in objects]
        except RecursionError:
            reading.skip(source.path, "is nested too deeply for its API to be outlined")
            continue
        total += len(objects)
        documented += sum(thing.has_docstring for thing in objects)
    return Outcome(
        agent=AGENT,
        findings=in_order(found),
        skipped=tuple(reading.skipped),
        facts={"public_objects": total, "documented_objects": documented, "api": api},
    )


def public_objects(module: griffe.Module) -> Iterator[Documented]:
    """Yield a module and its public classes, functions, methods and properties, in the order they are written."""
    yield module
    yield from _members(module)


def _members(parent: griffe.Module | griffe.Class) -> Iterator[Documented]:
    members = [member for member in parent.members.values() if not isinstance(member, griffe.Alias)]
    for member in sorted(members, key=lambda item: item.lineno or 0):
        if not member.is_public or member.is_special or _is_override(member):
            continue
        if isinstance(member, griffe.Function) or (
            isinstance(member, griffe.Attribute) and "property" in member.labels
        ):
            yield member
        elif isinstance(member, griffe.Class):
            yield member
            yield from _members(member)


def _documentable(unit: Unit) -> Unit:
    files = (path for path in unit.files if path.endswith(".py") and not serves_tests(path))
    return unit.model_copy(update={"files": tuple(path for path in files if not _is_private(path))})


def _is_private(path: str) -> bool:
    parts = PurePosixPath(path).with_suffix("").parts
    private = any(part.startswith("_") and not part.endswith("__") for part in parts)
    return private or PurePosixPath(path).name in _SCRIPTS


def _is_override(member: griffe.Object) -> bool:
    decorators = getattr(member, "decorators", ())
    return any(str(decorator.value).rpartition(".")[2] == "override" for decorator in decorators)


def _judged(source: Source, thing: Documented) -> Iterator[Finding]:
    """Yield what is wrong with the docstring of one object."""
    kind = thing.kind.value if not thing.is_attribute else "function"
    name = source.path if thing.is_module else thing.path.partition(".")[2]
    if not thing.has_docstring:
        yield _finding(source, thing, f"undocumented-{kind}", f"the public {kind} {name} has no docstring")
        return
    signature = _signature(thing)
    written = _written_parameters(thing)
    if signature is None or not written:
        return
    takes_any = any(parameter.kind is griffe.ParameterKind.var_keyword for parameter in signature)
    unknown = [] if takes_any else sorted(written - {parameter.name for parameter in signature})
    missing = [parameter.name for parameter in signature if _is_told(parameter) and parameter.name not in written]
    if unknown:
        message = f"the docstring of {name} describes {_listed(unknown)}, which it does not take"
        yield _finding(source, thing, "unknown-parameter", message)
    if missing:
        message = f"the docstring of {name} describes parameters, but not {_listed(missing)}"
        yield _finding(source, thing, "undocumented-parameter", message)


def _signature(thing: Documented) -> list[griffe.Parameter] | None:
    """Return what an object is called with, without ``self``; None where the source does not say."""
    if isinstance(thing, griffe.Function):
        parameters = list(thing.parameters)
        is_method = isinstance(thing.parent, griffe.Class) and "staticmethod" not in thing.labels
        return parameters[1:] if is_method else parameters
    init = thing.members.get("__init__") if isinstance(thing, griffe.Class) else None
    return list(init.parameters)[1:] if isinstance(init, griffe.Function) else None


def _written_parameters(thing: Documented) -> set[str]:
    """Return the parameters a docstring describes, whatever of the three common styles it is in."""
    if thing.docstring is None:
        return set()
    # A field list of one line is not recognised by itself; text without one has no parameters in any style.
    sections = griffe.parse_auto(
        thing.docstring,
        default="sphinx",
        per_style_options={"google": {"warnings": False}, "numpy": {"warnings": False}, "sphinx": {"warnings": False}},
    )
    kinds = {griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.other_parameters}
    written = [parameter.name for section in sections if section.kind in kinds for parameter in section.value]
    names = {part.strip().lstrip("*\\") for name in written for part in name.split(",")}
    return {name for name in names if name.isidentifier()}


def _is_told(parameter: griffe.Parameter) -> bool:
    variadic = {griffe.ParameterKind.var_positional, griffe.ParameterKind.var_keyword}
    return parameter.kind not in variadic and not parameter.name.startswith("_")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:LISTED_NAMES])
    return shown if len(names) <= LISTED_NAMES else f"{shown} and {len(names) - LISTED_NAMES} more"


def _outlined(thing: Documented) -> dict[str, Any]:
    docstring = thing.docstring.value if thing.docstring else ""
    return {
        "name": thing.path.partition(".")[2],
        "kind": "property" if thing.is_attribute else thing.kind.value,
        "line": thing.lineno or 1,
        "signature": thing.signature() if isinstance(thing, griffe.Function) else "",
        "summary": docstring.strip().partition("\n")[0][:SUMMARY_CHARS],
    }


def _finding(source: Source, thing: Documented, rule: str, message: str) -> Finding:
    return Finding(
        agent=AGENT,
        tool="griffe",
        rule=rule,
        severity=SEVERITIES[rule],
        path=source.path,
        line=thing.lineno or 1,
        message=message,
    )
