"""What counts as a copy, what is hard to maintain, and a patch that does what ruff would do."""

import random
import shutil
import subprocess
from pathlib import Path

from ruff import find_ruff_bin

from tests.support.seeded import FIXTURES, places, run, unit_of
from workers.clones import GRAM_TOKENS, MIN_TOKENS, WINDOW_GRAMS, find_clones
from workers.refactoring_specialist import FIXED_RULES, review


def statement(rng: random.Random, names: list[str]) -> str:
    left, right, function = rng.choices(names, k=3)
    return rng.choice(
        [
            f"{left} = {function}({right}, {rng.randrange(9)})",
            f"if {left} > {right}: {function}({left})",
            f"for {left} in {right}: {function}({left}[{rng.randrange(9)}])",
            f"while {left} and not {right}: {left} = {function}({right})",
            f"return {left} + {right} * {rng.randrange(9)}",
        ]
    )


def function(rng: random.Random, name: str, lines: int) -> str:
    names = [f"{name}_{letter}" for letter in "abcdefgh"]
    return "\n".join([f"def {name}():", *(f"    {statement(rng, names)}" for _ in range(lines))]) + "\n"


def test_every_planted_copy_is_found_at_its_place_under_other_names_and_between_other_code(rng: random.Random) -> None:
    for _ in range(20):
        planted = function(rng, "one", rng.randrange(12, 40))
        before, after, beside = (function(rng, name, rng.randrange(1, 30)) for name in ("x", "y", "z"))
        copy = planted.replace("one", "another")
        sources = {
            "a.py": f"{before}\nassert before\n{planted}assert after\n",
            "b.py": f"# a comment\n{beside}\n\ndel before, it\n\n{copy}del after, it\n{after}",
        }
        (clone,) = find_clones(sources)
        for region, text in ((clone.original, planted), (clone.copy, copy)):
            first = sources[region.path].split(text)[0].count("\n") + 1
            assert (region.first, region.last) == (first, first + text.count("\n") - 1)
        assert clone.token_count >= MIN_TOKENS


def test_the_least_copy_that_counts_cannot_slip_between_two_fingerprints() -> None:
    assert GRAM_TOKENS + WINDOW_GRAMS - 1 <= MIN_TOKENS


def test_names_that_do_not_correspond_are_no_copy(rng: random.Random) -> None:
    body = [f"    if {letter}: {letter} = call({letter})" for letter in "abcdefgh" * 3]
    shuffled = list("abcdefgh" * 6)
    rng.shuffle(shuffled)
    pairs = zip(shuffled[::2], shuffled[1::2], strict=True)
    other = [f"    if {left}: {right} = call({left})" for left, right in pairs]
    copied, mixed = ("\n".join([f"def {name}():", *lines]) for name, lines in (("f", body), ("g", other)))
    assert find_clones({"a.py": copied, "b.py": copied.replace("call", "ask")})
    assert not [clone for clone in find_clones({"a.py": copied, "b.py": mixed}) if clone.copy.path == "b.py"]


def test_the_patch_does_what_ruff_would_do_and_leaves_the_project_alone(tmp_path: Path) -> None:
    project, fixed, patched = (tmp_path / "a project 🐝", tmp_path / "fixed", tmp_path / "patched")
    for copy in (project, fixed, patched):
        shutil.copytree(FIXTURES / "refactoring_specialist" / "seeded", copy)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    patch = run(review, unit_of(project)).facts["patch"]
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    command = [find_ruff_bin(), "check", "--isolated", "--no-cache", "--select", ",".join(FIXED_RULES), "--fix", "."]
    subprocess.run([*command, "--target-version", "py311"], cwd=fixed, capture_output=True, check=False)
    subprocess.run(["git", "apply", "-p0", "-"], cwd=patched, input=patch, text=True, check=True)
    for path in fixed.rglob("*.py"):
        assert (patched / path.relative_to(fixed)).read_text() == path.read_text()
    assert (fixed / "shop/orders.py").read_text() != (project / "shop/orders.py").read_text()


def test_a_module_that_is_hard_to_maintain_is_told_of(rng: random.Random, tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text("\n\n".join(function(rng, f"f{number}", 60) for number in range(20)))
    (tmp_path / "small.py").write_text('"""Small."""\n\n\ndef one():\n    """One."""\n    return 1\n')
    outcome = run(review, unit_of(tmp_path))
    assert places(outcome.findings) == [("large.py", 0, "low-maintainability")]
    assert outcome.facts["maintainability"]["small.py"] > 50


def test_the_readme_shows_the_rules_of_the_patch() -> None:
    readme = (FIXTURES.parents[1] / "README.md").read_text()
    assert f"`{','.join(FIXED_RULES)}`" in readme
