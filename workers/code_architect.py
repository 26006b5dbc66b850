"""The code architect: how the modules of a project hang together: cycles, layers, fan-in and fan-out (grimp)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from grimp import ImportGraph

from hive import shared_task
from workers.findings import Finding, Outcome, Severity, Unit, in_order
from workers.imports import Import, Tree
from workers.source import Reading
from workers.task import AgentTask

AGENT = "code_architect"

#: Modules of the project that one module may import before it is said to know too much.
FAN_OUT_MAX = 30

#: Modules of a cycle that a message names; the facts name them all.
_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Modules that import one another.

    Attributes:
        members: their paths, sorted; each is imported by each, directly or not.
        way: the shortest way round from the first one, which is also the last.
        line: where in the first module the way begins.
    """

    members: tuple[str, ...]
    way: tuple[str, ...]
    line: int


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.code_architect.review", pydantic=True)
def review(unit: Unit) -> Outcome:
    """Examine how the modules of a project import one another.

    Args:
        unit: the whole project; imports that lead out of it are not followed.
    """
    reading = Reading(unit, AGENT)
    tree = Tree(unit.root, (path for path in unit.files if path.endswith(".py")))
    names = tree.names()
    imports = [found for source in reading if source.path in names for found in tree.imports(source)]
    loaded = _Graph(names, (item for item in imports if not item.lazy))
    whole = _Graph(names, imports)
    cycles = loaded.cycles()
    known = {cycle.members for cycle in cycles}
    hidden = [cycle for cycle in whole.cycles() if cycle.members not in known]
    return Outcome(
        agent=AGENT,
        findings=in_order((*_cycle_findings(names, cycles, hidden), *_fan_out_findings(names, whole))),
        skipped=tuple(reading.skipped),
        facts=_facts(names, loaded, whole, cycles, hidden),
    )


class _Graph:
    """Grimp's graph over paths, with the line of each import."""

    def __init__(self, paths: Iterable[str], imports: Iterable[Import]) -> None:
        self.paths = sorted(paths)
        # Grimp reads dots in a name as packages in packages: paths are numbered instead.
        self._nodes = {path: f"m{number}" for number, path in enumerate(self.paths)}
        self._graph = ImportGraph()
        self._lines: dict[tuple[str, str], int] = {}
        for node in self._nodes.values():
            self._graph.add_module(node)
        for item in imports:
            pair = (item.importer, item.imported)
            self._lines[pair] = min(item.line, self._lines.get(pair, item.line))
        for importer, imported in sorted(self._lines):
            self._graph.add_import(importer=self._nodes[importer], imported=self._nodes[imported])

    @property
    def import_count(self) -> int:
        """Pairs of modules of which one imports the other."""
        return len(self._lines)

    def imported_by(self, path: str) -> list[str]:
        """Return what ``path`` imports, sorted."""
        return self._sorted(self._graph.find_modules_directly_imported_by(self._nodes[path]))

    def importers_of(self, path: str) -> list[str]:
        """Return what imports ``path``, sorted."""
        return self._sorted(self._graph.find_modules_that_directly_import(self._nodes[path]))

    def cycles(self) -> list[Cycle]:
        """Return the cycles as the largest sets of modules that reach one another, ordered by their first members."""
        found: list[Cycle] = []
        seen: set[str] = set()
        for path in self.paths:
            if path in seen or not self.imported_by(path) or not self.importers_of(path):
                continue
            node = self._nodes[path]
            circle = self._graph.find_upstream_modules(node) & self._graph.find_downstream_modules(node)
            if circle:
                members = self._sorted(circle | {node})
                seen.update(members)
                found.append(self._cycle(members))
        return found

    def levels(self, cycles: Iterable[Cycle]) -> dict[str, int]:
        """Return the level of each module: 0 imports nothing, others stand one above the highest that they import.

        Modules of one cycle share a level.
        """
        group = {path: path for path in self.paths}
        group.update({member: cycle.members[0] for cycle in cycles for member in cycle.members})
        below: dict[str, set[str]] = {first: set() for first in group.values()}
        for importer, imported in self._lines:
            if group[importer] != group[imported]:
                below[group[importer]].add(group[imported])
        level: dict[str, int] = {}
        for first in TopologicalSorter(below).static_order():
            level[first] = 1 + max((level[other] for other in below[first]), default=-1)
        return {path: level[group[path]] for path in self.paths}

    def _cycle(self, members: list[str]) -> Cycle:
        """Walk breadth first, in order, from the first member back to it."""
        first, circle = members[0], frozenset(members)
        ways: list[tuple[str, ...]] = [(first,)]
        seen: set[str] = set()
        for way in ways:
            for path in self.imported_by(way[-1]):
                if path == first:
                    return Cycle(members=tuple(members), way=(*way, first), line=self._lines[first, (*way, first)[1]])
                if path in circle and path not in seen:
                    seen.add(path)
                    ways.append((*way, path))
        raise AssertionError(f"{first} is in a cycle but leads nowhere")

    def _sorted(self, nodes: Iterable[str]) -> list[str]:
        return sorted(self.paths[int(node[1:])] for node in nodes)


def _cycle_findings(names: Mapping[str, str], cycles: list[Cycle], hidden: list[Cycle]) -> Iterator[Finding]:
    kinds = [("import-cycle", Severity.MEDIUM, "", cycle) for cycle in cycles]
    kinds += [("hidden-import-cycle", Severity.INFO, " through functions", cycle) for cycle in hidden]
    for rule, severity, how, cycle in kinds:
        way = [names[path] for path in cycle.way]
        if len(way) > _SHOWN:
            way = [*way[:_SHOWN], "…", way[-1]]
        message = f"{len(cycle.members)} modules import one another{how}: {' → '.join(way)}"
        yield _finding(rule, severity, cycle.way[0], cycle.line, message)


def _fan_out_findings(names: Mapping[str, str], graph: _Graph) -> Iterator[Finding]:
    for path in graph.paths:
        count = len(graph.imported_by(path))
        if count > FAN_OUT_MAX:
            message = f"{names[path]} imports {count} modules of the project, over {FAN_OUT_MAX}"
            yield _finding("fan-out", Severity.LOW, path, 0, message)


def _finding(rule: str, severity: Severity, path: str, line: int, message: str) -> Finding:
    return Finding(agent=AGENT, tool="grimp", rule=rule, severity=severity, path=path, line=line, message=message)


def _facts(
    names: Mapping[str, str], loaded: _Graph, whole: _Graph, cycles: list[Cycle], hidden: list[Cycle]
) -> dict[str, Any]:
    """Return the graph in numbers; levels are those of what is imported when a module is loaded."""
    levels = loaded.levels(cycles)
    layers: list[list[str]] = [[] for _ in range(1 + max(levels.values(), default=-1))]
    for path, level in levels.items():
        layers[level].append(names[path])
    return {
        "imports": whole.import_count,
        "cycles": [[names[path] for path in cycle.members] for cycle in cycles],
        "hidden_cycles": [[names[path] for path in cycle.members] for cycle in hidden],
        "layers": [sorted(layer) for layer in layers],
        "modules": [
            {
                "module": names[path],
                "path": path,
                "level": levels[path],
                "fan_in": len(whole.importers_of(path)),
                "fan_out": len(whole.imported_by(path)),
            }
            for path in whole.paths
        ],
    }
