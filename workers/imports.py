"""Which file of a tree imports which, by what the files say and where they stand.

Grimp can find that out itself, but only for packages that the import system knows by name: it would take an installed
namesake for the reviewed tree, sees no module outside a package, and gives up at the first file with a syntax error.
So the imports are read here and looked up by path; grimp's graph takes it from there.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workers.source import Source

_INIT = "__init__.py"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One file importing another of the same tree.

    Attributes:
        importer: path of the importing file.
        imported: path of the imported file.
        line: where the import stands.
        lazy: whether it runs only when a function is called.
    """

    importer: str
    imported: str
    line: int
    lazy: bool


class Tree:
    """The modules of a tree of files.

    A directory is taken for a place that imports start from if it is no package itself and the importing file stands
    below it, or if it holds packages.

    Args:
        root: absolute path of the tree's top; if it is a package, absolute imports of its name lead back into it.
        files: paths of its Python files below the top.
    """

    def __init__(self, root: str, files: Iterable[str]) -> None:
        self._files = frozenset(PurePosixPath(path) for path in files)
        self._own_name = _package_name(Path(root)) if PurePosixPath(_INIT) in self._files else ()
        tops = {self._top(file) for file in self._files if file.name == _INIT}
        self._package_tops = sorted(top for top in tops if top is not None)

    def names(self) -> dict[str, str]:
        """Return what to call each file, by path: the name it is imported by, or its path where two share a name."""
        dotted = {file: ".".join(self._dotted(file)) for file in self._files}
        count = Counter(dotted.values())
        return {str(file): name if count[name] == 1 else str(file) for file, name in dotted.items()}

    def imports(self, source: Source) -> Iterator[Import]:
        """Yield what a file imports of the tree, each pair as often as it is written.

        What only a type checker reads (``if TYPE_CHECKING:``) does not count.
        """
        for statement, lazy in _statements(source.tree):
            for target in self._targets(PurePosixPath(source.path), statement):
                if str(target) != source.path:
                    yield Import(importer=source.path, imported=str(target), line=statement.lineno, lazy=lazy)

    def _targets(self, importer: PurePosixPath, statement: ast.Import | ast.ImportFrom) -> list[PurePosixPath]:
        if isinstance(statement, ast.Import):
            wanted = [tuple(alias.name.split(".")) for alias in statement.names]
            return [file for name in wanted for file in self._first(self._bases(importer, name), ())]
        name = tuple(statement.module.split(".")) if statement.module else ()
        names = tuple(alias.name for alias in statement.names)
        if not statement.level:
            return self._first(self._bases(importer, name), names)
        climbed = (importer.parent, *importer.parent.parents)
        if statement.level > len(climbed):
            return []
        return self._first([(climbed[statement.level - 1], name)], names)

    def _bases(self, importer: PurePosixPath, name: tuple[str, ...]) -> Iterator[tuple[PurePosixPath, tuple[str, ...]]]:
        """Yield the directories an absolute import may start from, nearest first, with the name to look for there."""
        size = len(self._own_name)
        if size and name[:size] == self._own_name:
            yield PurePosixPath(), name[size:]
        above = (directory for directory in importer.parents if directory / _INIT not in self._files)
        yield from ((directory, name) for directory in dict.fromkeys((*above, *self._package_tops)))

    def _first(
        self, bases: Iterable[tuple[PurePosixPath, tuple[str, ...]]], names: tuple[str, ...]
    ) -> list[PurePosixPath]:
        """Return the files that an import stands for, from the first place where there is one."""
        for directory, name in bases:
            module = self._module(directory, name)
            if names:
                found = [self._module(directory, (*name, below)) or module for below in names]
            else:
                found = [module or next(filter(None, (self._module(directory, part) for part in _shorter(name))), None)]
            targets = [file for file in dict.fromkeys(found) if file is not None]
            if targets:
                return targets
        return []

    def _module(self, directory: PurePosixPath, name: tuple[str, ...]) -> PurePosixPath | None:
        package = directory.joinpath(*name, _INIT)
        if package in self._files:
            return package
        module = directory.joinpath(*name[:-1], f"{name[-1]}.py") if name else package
        return module if module in self._files else None

    def _top(self, file: PurePosixPath) -> PurePosixPath | None:
        """Return the directory from which a file is imported; none: it stands above the tree."""
        return next((directory for directory in file.parents if directory / _INIT not in self._files), None)

    def _dotted(self, file: PurePosixPath) -> tuple[str, ...]:
        top = self._top(file)
        parts = (self._own_name if top is None else ()) + file.relative_to(top or PurePosixPath()).with_suffix("").parts
        return parts[:-1] if file.name == _INIT and len(parts) > 1 else parts


def _shorter(name: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (name[:size] for size in range(len(name) - 1, 0, -1))


def _package_name(root: Path) -> tuple[str, ...]:
    """Return the dotted name of the package a directory is, as far up as there are packages."""
    names: list[str] = []
    while (root / _INIT).is_file():
        names.insert(0, root.name)
        root = root.parent
    return tuple(names)


def _statements(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the imports of a file, each with whether it stands in a function."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, lazy = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, lazy
        children: Iterable[ast.AST] = ast.iter_child_nodes(node)
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            children = node.orelse
        inside = lazy or isinstance(node, _FUNCTIONS)
        waiting += [(child, inside) for child in children if not isinstance(child, ast.expr)]


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )
