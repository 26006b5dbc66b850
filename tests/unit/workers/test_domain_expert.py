"""Questions are answered by the passages that hold the answer, whatever characters they are asked with."""

from pathlib import Path

import pytest

from tests.support.seeded import FIXTURES, run, unit_of
from workers.domain_expert import Answer, ask, survey
from workers.findings import Unit
from workers.knowledge import KEPT_INDEXES, build_index, search
from workers.passages import PASSAGE_CHARS, Passage, document_passages

SHOP = FIXTURES / "domain_expert" / "clean"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HIVE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def answer(question: str, unit: Unit | None = None) -> Answer:
    return Answer.model_validate(ask(unit or unit_of(SHOP, "*"), question))


@pytest.mark.parametrize(
    ("question", "path", "line", "title"),
    [
        ("How do customers pay?", "docs/guide.md", 3, "Paying"),
        ("when is a REFUND given", "docs/guide.md", 7, "Refunds"),
        ("Are you open on Saturday?", "docs/index.rst", 8, "Opening hours"),
        ("who delivers the tea on monday", "docs/notes.txt", 1, "notes.txt"),
        ("which cash drawer", "shop/till.py", 5, "shop.till.CashDrawer"),
        ("CashDrawer.count_coins()", "shop/till.py", 8, "shop.till.CashDrawer.count_coins"),
    ],
)
def test_the_best_passage_is_the_one_with_the_answer(question: str, path: str, line: int, title: str) -> None:
    best = answer(question).passages[0]
    assert (best.path, best.line, best.title) == (path, line, title)
    assert best.text
    assert best.score > 0


@pytest.mark.parametrize(
    "question",
    [
        '"',
        "refund AND",
        "NEAR(refund",
        "refund*",
        "title:refund",
        "-refund",
        "^refund",
        "(refund",
        "';--refund",
        "refund\0",
    ],
)
def test_no_character_of_a_question_means_anything_to_the_search(question: str) -> None:
    found = answer(question)
    assert [passage.title for passage in found.passages[:1]] == (["Refunds"] if "refund" in question else [])


@pytest.mark.parametrize("question", ["", "?!", "elephants", "🐘"])
def test_a_question_that_nothing_answers_has_no_passages(question: str) -> None:
    found = answer(question)
    assert found.passages == ()
    assert found.searched == len({(item.path, item.line) for item in _all_passages()})


def _all_passages() -> list[Passage]:
    index = next(iter(Path(SHOP).glob("docs")))
    documents = [*index.glob("*.md"), *index.glob("*.rst"), *index.glob("*.txt"), SHOP / "README.md"]
    passages = [
        item for path in documents for item in document_passages(path.relative_to(SHOP).as_posix(), path.read_text())
    ]
    docstrings = [Passage(path="shop/till.py", line=line, title="", text="x") for line in (1, 5, 8)]
    return [*passages, *docstrings]


def test_an_index_is_built_once_for_a_content_outside_the_project_and_old_ones_go(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.md").write_text("# Bees\n\nBees make honey.\n")
    first = run(survey, unit_of(project, "*")).facts["index"]
    (index,) = (home / "indexes").iterdir()
    stamp = index.stat().st_ino
    assert run(survey, unit_of(project, "*")).facts["index"] == first == index.stem
    assert index.stat().st_ino == stamp
    (project / "a.md").write_text("# Bees\n\nBees make wax.\n")
    assert answer("wax", unit_of(project, "*")).passages[0].title == "Bees"
    assert len(list((home / "indexes").iterdir())) == 2
    for number in range(KEPT_INDEXES + 3):
        build_index([Passage(path="a.md", line=1, title="t", text=str(number))], home / "indexes")
    assert len(list((home / "indexes").iterdir())) == KEPT_INDEXES
    assert sorted(path.name for path in project.iterdir()) == ["a.md"]


def test_a_long_section_is_cut_at_paragraphs_and_no_line_is_lost() -> None:
    lines = [line for number in range(200) for line in (f"sentence {number} " * 5, "")]
    passages = document_passages("long.md", "\n".join(["# Long", "", "```", "# no heading", "```", "", *lines]))
    assert {passage.title for passage in passages} == {"Long"}
    assert all(len(passage.text) <= 2 * PASSAGE_CHARS for passage in passages)
    told = [line.strip() for passage in passages for line in passage.text.splitlines() if line.strip()]
    assert told == ["# Long", "```", "# no heading", "```", *(line.strip() for line in lines if line)]


def test_a_passage_with_all_words_comes_before_one_with_a_rarer_word(tmp_path: Path) -> None:
    passages = [
        Passage(path="a.md", line=1, title="one", text="honey " * 9),
        Passage(path="b.md", line=1, title="two", text="the honey is made of nectar by bees of the hive, in summer"),
        *(Passage(path="c.md", line=line, title="three", text="bees and more bees") for line in range(1, 9)),
    ]
    index = build_index(passages, tmp_path)
    assert [match.path for match in search(index, "honey bees", 2)] == ["b.md", "a.md"]
    assert len(search(index, "honey bees", 5)) == 5
