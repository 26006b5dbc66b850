"""Which modules of a project its tests use, told from the source alone.

A test uses a module if it imports it, imports a name that a package re-exports from it, or names it in a string, as
patches and command lines do.

Warning: what a module under test uses in turn does not count as used, and neither does what is loaded under a name that
is put together at run time.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

#: Directories that are import roots where they stand at the top, besides the project's own root.
SOURCE_ROOTS = ("src", "lib")

_DOTTED = re.compile(r"^[^\W\d]\w*(\.[^\W\d]\w*)+(:[^\W\d]\w*)?$")
#: Re-exports that are followed from package to package.
_MAX_HOPS = 8


class Modules:
    """A project's modules by the names they can be imported under.

    Args:
        trees: parsed source of every Python file by its path below the root.
        top: name of the root's own directory, which is a package's name if there is an ``__init__.py``.
    """

    def __init__(self, trees: Mapping[str, ast.Module], top: str) -> None:
        self._trees = trees
        self._paths: dict[str, str] = {}
        for path in sorted(trees):
            for name in _module_names(path, trees, top):
                self._paths.setdefault(name, path)
        self._longest: dict[str, str] = {}
        for name, path in self._paths.items():
            self._longest[path] = max(name, self._longest.get(path, ""), key=len)
        self._bindings: dict[str, dict[str, str]] = {}

    def used_by(self, path: str) -> set[str]:
        """Return the paths of the modules that a file uses."""
        found: set[str] = set()
        for name in references(self._trees[path], self.package_of(path)):
            found |= self.named(name)
        return found - {path}

    def named(self, name: str) -> set[str]:
        """Return the paths of the module a dotted name leads to, and of those it was re-exported through."""
        found: set[str] = set()
        for _ in range(_MAX_HOPS):
            parts = name.split(".")
            path, rest = None, parts
            for cut in range(len(parts), 0, -1):
                if path := self._paths.get(".".join(parts[:cut])):
                    rest = parts[cut:]
                    break
            if path is None or path in found:
                break
            found.add(path)
            source = self._bound(path).get(rest[0]) if rest else None
            if source is None:
                break
            name = ".".join([source, *rest[1:]])
        return found

    def package_of(self, path: str) -> str:
        """Return the dotted name of the package a file belongs to; empty at the root."""
        longest = self._longest.get(path, "")
        return longest if PurePosixPath(path).name == "__init__.py" else longest.rpartition(".")[0]

    def _bound(self, path: str) -> dict[str, str]:
        """Return the names a module imports at its top level, with where each comes from."""
        if path not in self._bindings:
            self._bindings[path] = dict(_imports(self._trees[path].body, self.package_of(path)))
        return self._bindings[path]


def references(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the dotted names a module refers to: imports, attributes of what it imported, and strings.

    Args:
        tree: its source.
        package: the package it belongs to, for relative imports.
    """
    nodes = list(ast.walk(tree))
    bound = dict(_imports(nodes, package))
    yield from bound.values()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield _absolute(node, package)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and (chain := _chain(node)) and chain[0] in bound:
            yield ".".join([bound[chain[0]], *chain[1:]])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.match(node.value):
            yield node.value.replace(":", ".")


def _imports(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[str, str]]:
    """Yield each name that an import binds, with the dotted name it stands for."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            for alias in node.names:
                yield alias.asname or alias.name, f"{module}.{alias.name}".strip(".")


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _chain(node: ast.Attribute) -> list[str]:
    """Return the identifiers of ``a.b.c``; empty if it does not begin with a name."""
    parts = [node.attr]
    inner: ast.expr = node.value
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return [inner.id, *reversed(parts)] if isinstance(inner, ast.Name) else []


def _module_names(path: str, present: Mapping[str, ast.Module], top: str) -> Iterator[str]:
    """Yield the dotted names a file can be imported under, whichever directory is on the path."""
    parts = list(PurePosixPath(path).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    if "__init__.py" in present:
        yield ".".join([top, *parts])
    depth = len(parts)
    # A chain of regular packages is imported from where it begins.
    while depth > 1 and "/".join([*parts[: depth - 1], "__init__.py"]) in present:
        depth -= 1
    for first in sorted({0, depth - 1, 1 if parts and parts[0] in SOURCE_ROOTS else 0}):
        if parts[first:]:
            yield ".".join(parts[first:])
