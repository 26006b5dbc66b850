"""The maintainability index is radon's, without its patience for long literals."""

import ast
from pathlib import Path
from statistics import median

import celery
from radon.metrics import mi_visit

from workers.maintainability import maintainability


def index(text: str) -> float:
    return maintainability(ast.parse(text), text)


def test_it_is_close_to_radons_own_on_real_code() -> None:
    files = sorted((Path(celery.__file__).parent / "utils").glob("*.py"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    differences = [abs(index(text) - mi_visit(text, multi=True)) for text in texts]
    assert len(differences) > 15
    assert median(differences) < 2
    assert max(differences) < 8


def test_a_long_table_takes_no_longer_than_its_length() -> None:
    # radon's own count takes minutes for this.
    table = "TABLE = (\n" + "".join(f"    ({number}, 'v', {number}),\n" for number in range(6000)) + ")\n"
    assert 0 <= index(table) <= 100


def test_an_empty_file_cannot_be_better() -> None:
    assert index("") == 100


def test_comments_and_docstrings_count_for_a_file() -> None:
    bare = "def f(a, b):\n    c = a * b + 1\n    return c - a\n"
    told = 'def f(a, b):\n    """Say.\n\n    More.\n    """\n    c = a * b + 1  # why\n    return c - a\n'
    assert index(told) > index(bare)
