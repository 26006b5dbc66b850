"""What there is to review: the files of a project, and what was left out of it and why.

The walk follows no symbolic link, opens nothing but regular files, and never imports, executes or writes anything.
What nobody could work on is listed as skipped; what is not part of the project (caches, environments, version control)
is left out by the stated rules of :func:`is_excluded` and only counted.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hive import InputError
from workers.findings import Skipped, Value

#: Ends of the names of Python files.
PYTHON = (".py", ".pyi")

#: Files above this size are listed as skipped: what is that large was generated.
MAX_FILE_BYTES = 5_000_000

#: Directories that are no part of a project wherever they stand, besides every one whose name begins with a dot.
EXCLUDED = frozenset({"CVS", "__pycache__", "__pypackages__", "node_modules", "site-packages", "venv", "hive-report"})

#: Directories that are build results where they stand at the top and are no package.
BUILT = frozenset({"build", "dist"})


class SourceFile(Value):
    """One file of a project.

    Attributes:
        path: below the project's root, with forward slashes.
        size_bytes: its size when it was found.
        lines: its lines; of files that are no Python 0.
    """

    path: str
    size_bytes: int
    lines: int = 0


class Project(Value):
    """A directory with Python code.

    Attributes:
        root: absolute path, symbolic links resolved.
        python: readable Python files, sorted by path.
        others: other readable files (documents, configuration, data), sorted by path.
        skipped: what could not be read, and why.
        excluded: names of directories that were left out, each with how many there were.
    """

    root: str
    python: tuple[SourceFile, ...]
    others: tuple[SourceFile, ...]
    skipped: tuple[Skipped, ...]
    excluded: dict[str, int]

    @property
    def name(self) -> str:
        """Last part of the root's path."""
        return Path(self.root).name or self.root


def discover(path: str, output: Path | None = None) -> Project:
    """Return the project at ``path``; a repeat on an unchanged tree returns an equal one.

    Args:
        path: a directory.
        output: a directory that is left out, because the report is written there.

    Raises:
        InputError: there is no such directory, it cannot be read, or it holds no Python file that can be read.
    """
    root = _checked(path)
    walk = _Walk(root, output.resolve() if output else None)
    files = sorted(walk.files(), key=lambda file: file.path)
    python = tuple(file for file in files if file.path.endswith(PYTHON))
    if not python:
        reasons = "".join(f"; {item.path}: {item.reason}" for item in walk.skipped[:3])
        raise InputError(f"{path!r} holds no Python file that can be read ({' or '.join(PYTHON)}){reasons}")
    return Project(
        root=str(root),
        python=python,
        others=tuple(file for file in files if not file.path.endswith(PYTHON)),
        skipped=tuple(sorted(walk.skipped, key=lambda item: (item.path, item.reason))),
        excluded=dict(sorted(walk.excluded.items())),
    )


def is_excluded(directory: Path, *, at_top: bool) -> bool:
    """Whether a directory is no part of the project: by its name, or because it is a virtual environment."""
    name = directory.name
    if name.startswith(".") or name in EXCLUDED or name.endswith(".egg-info"):
        return True
    # os.path.exists, which says no where there is no permission: that is for the walk to find.
    if at_top and name in BUILT and not os.path.exists(directory / "__init__.py"):
        return True
    return os.path.exists(directory / "pyvenv.cfg")


def _checked(path: str) -> Path:
    if not path.strip():
        raise InputError("the path is empty: name the directory of a Python project")
    try:
        root = Path(path).expanduser().resolve(strict=True)
    except FileNotFoundError as exc:
        raise InputError(f"there is no {path!r}: name the directory of a Python project") from exc
    except (OSError, RuntimeError, ValueError) as exc:
        raise InputError(f"{path!r} cannot be opened: {_reason(exc)}") from exc
    if not root.is_dir():
        raise InputError(f"{path!r} is a file: name the directory it stands in")
    try:
        os.scandir(root).close()
        os.fsencode(root).decode()
    except UnicodeDecodeError as exc:
        raise InputError(f"the path {path!r} is not valid UTF-8: move the project to one that is") from exc
    except OSError as exc:
        raise InputError(f"{path!r} cannot be read: {_reason(exc)}") from exc
    return root


class _Walk:
    """One walk over a tree, with a stack of its own: a deep tree must not end in a RecursionError."""

    def __init__(self, root: Path, output: Path | None) -> None:
        self._root, self._output = root, output
        self.skipped: list[Skipped] = []
        self.excluded: Counter[str] = Counter()

    def files(self) -> Iterator[SourceFile]:
        """Yield every regular file that can be read."""
        waiting = [""]
        while waiting:
            directory = waiting.pop()
            try:
                with os.scandir(self._root / directory) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as exc:
                self._skip(directory, _reason(exc))
                continue
            for entry in found:
                path = f"{directory}/{entry.name}" if directory else entry.name
                if not entry.is_dir(follow_symlinks=False):
                    file = self._file(entry, path)
                    if file:
                        yield file
                elif self._root / path == self._output or is_excluded(self._root / path, at_top=not directory):
                    self.excluded[entry.name] += 1
                else:
                    waiting.append(path)

    def _file(self, entry: os.DirEntry[str], path: str) -> SourceFile | None:
        """Return the file, or list it as skipped if it is one that somebody would expect to be reviewed."""
        try:
            info = entry.stat(follow_symlinks=False)
            problem = _problem(entry, info)
            if not problem:
                lines = _count_lines(self._root / path) if path.endswith(PYTHON) else 0
                return SourceFile(path=path, size_bytes=info.st_size, lines=lines)
            if path.endswith(PYTHON) or stat.S_ISLNK(info.st_mode):
                self._skip(path, problem)
        except (OSError, ValueError) as exc:
            self._skip(path, _reason(exc))
        return None

    def _skip(self, path: str, reason: str) -> None:
        shown = os.fsencode(path or ".").decode(errors="backslashreplace")
        self.skipped.append(Skipped(path=shown, reason=reason))


def _problem(entry: os.DirEntry[str], info: os.stat_result) -> str:
    """Why an entry that is no directory is not read; empty if nothing speaks against it."""
    if stat.S_ISLNK(info.st_mode):
        return "a symbolic link, which is not followed"
    if not stat.S_ISREG(info.st_mode):
        return "not a regular file"
    if info.st_size > MAX_FILE_BYTES:
        return f"over {MAX_FILE_BYTES // 1_000_000} MB ({info.st_size / 1_000_000:.1f} MB)"
    try:
        os.fsencode(entry.name).decode()
    except UnicodeDecodeError:
        return "its name is not valid UTF-8"
    return ""


def _count_lines(path: Path) -> int:
    content = path.read_bytes()
    if b"\0" in content:
        raise ValueError("holds NUL bytes, so it is no Python source")
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def _reason(exc: Exception) -> str:
    return (exc.strerror or type(exc).__name__).lower() if isinstance(exc, OSError) else str(exc)
