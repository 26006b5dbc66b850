"""Discovery: what is found, what is left out, and what bad input gets."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hive import InputError
from workers.project import MAX_FILE_BYTES, Project, discover

NOBODY = 65534


def write(root: Path, *paths: str, content: str = "x = 1\n") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)


def paths(project: Project) -> list[str]:
    return [file.path for file in project.python]


def reasons(project: Project) -> dict[str, str]:
    return {item.path: item.reason for item in project.skipped}


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that anybody may enter; those of pytest's own are the user's alone."""
    with tempfile.TemporaryDirectory(prefix="hive-test-") as name:
        root = Path(name).resolve()
        root.chmod(0o755)
        yield root
        for closed in root.rglob("closed"):
            closed.chmod(0o700)


@contextmanager
def powerless() -> Iterator[None]:
    """Be nobody for a while if this is root, whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_finds_python_and_other_files_with_their_sizes(tmp_path: Path) -> None:
    write(tmp_path, "b/deep/er/m.py", "a.py", "stubs/a.pyi", content="one\ntwo")
    write(tmp_path, "README.md", "b/settings.toml")
    project = discover(str(tmp_path))
    assert [(file.path, file.size_bytes, file.lines) for file in project.python] == [
        ("a.py", 7, 2),
        ("b/deep/er/m.py", 7, 2),
        ("stubs/a.pyi", 7, 2),
    ]
    assert [file.path for file in project.others] == ["README.md", "b/settings.toml"]
    assert (project.root, project.name, project.skipped) == (str(tmp_path), tmp_path.name, ())
    assert discover(str(tmp_path)) == project


def test_leaves_out_what_is_no_part_of_a_project(tmp_path: Path) -> None:
    write(tmp_path, ".git/hook.py", ".venv/m.py", "__pycache__/m.py", "a/node_modules/m.py", "x.egg-info/m.py")
    write(tmp_path, "env/pyvenv.cfg", "env/lib/m.py", "build/lib/m.py", "dist/m.py")
    write(tmp_path, "kept.py", "a/build/kept.py", "a/environment/kept.py")
    project = discover(str(tmp_path))
    assert paths(project) == ["a/build/kept.py", "a/environment/kept.py", "kept.py"]
    assert project.excluded == dict.fromkeys(
        (".git", ".venv", "__pycache__", "build", "dist", "env", "node_modules", "x.egg-info"), 1
    )


def test_a_package_called_build_is_part_of_a_project(tmp_path: Path) -> None:
    write(tmp_path, "build/__init__.py", "build/env.py")
    assert paths(discover(str(tmp_path))) == ["build/__init__.py", "build/env.py"]


def test_the_report_inside_a_project_is_no_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "out/old.py", "out/report.json")
    project = discover(str(tmp_path), tmp_path / "out")
    assert paths(project) == ["a.py"]
    assert project.others == ()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda root: "", "the path is empty"),
        (lambda root: str(root / "missing"), "there is no"),
        (lambda root: str(root / "a\0b"), "cannot be opened"),
        (lambda root: write(root, "one.py") or str(root / "one.py"), "is a file: name the directory"),
        (str, "holds no Python file"),
        (lambda root: write(root, "README.md", ".git/a.py") or str(root), "holds no Python file"),
    ],
)
def test_a_path_that_is_no_project_is_one_sentence(make: Callable[[Path], str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        discover(make(tmp_path))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_cannot_be_read_is_listed_and_the_rest_is_found(tmp_path: Path) -> None:
    write(tmp_path, "good.py", "a/good.py")
    (tmp_path / "nul.py").write_bytes(b"x = 1\n\0")
    with (tmp_path / "huge.py").open("wb") as huge:
        huge.truncate(50_000_000)
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "a/loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self.py").symlink_to(tmp_path / "self.py")
    (tmp_path / "outside.py").symlink_to("/etc/passwd")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")).write_text("x = 1\n")
    project = discover(str(tmp_path))
    assert paths(project) == ["a/good.py", "good.py"]
    assert reasons(project) == {
        "\\xff.py": "its name is not valid UTF-8",
        "a/loop": "a symbolic link, which is not followed",
        "huge.py": f"over {MAX_FILE_BYTES // 1_000_000} MB (50.0 MB)",
        "nul.py": "holds NUL bytes, so it is no Python source",
        "outside.py": "a symbolic link, which is not followed",
        "pipe.py": "not a regular file",
        "self.py": "a symbolic link, which is not followed",
    }
    project.model_dump_json()


def test_no_permission_is_listed(public: Path) -> None:
    write(public, "good.py", "secret.py", "closed/m.py")
    (public / "secret.py").chmod(0)
    (public / "closed").chmod(0)
    with powerless():
        project = discover(str(public))
    assert paths(project) == ["good.py"]
    assert reasons(project) == {"closed": "permission denied", "secret.py": "permission denied"}


def test_a_project_that_cannot_be_entered_is_one_sentence(public: Path) -> None:
    write(public, "closed/m.py")
    (public / "closed").chmod(0)
    with powerless(), pytest.raises(InputError, match="cannot be read: permission denied"):
        discover(str(public / "closed"))


def test_names_with_spaces_and_emoji(tmp_path: Path) -> None:
    root = tmp_path / "my project 🐝"
    write(root, "a module.py", "🐍/é.py")
    project = discover(str(root))
    assert paths(project) == ["a module.py", "🐍/é.py"]
    assert project.name == "my project 🐝"
