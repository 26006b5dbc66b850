"""The domain expert: what a project says about itself, and whether its documents point to what is there.

Both tasks take all files of a project, documents as well as Python.
"""

from pathlib import Path

from hive import load_settings, shared_task
from workers.findings import Finding, Outcome, Severity, Skipped, Unit, Value, in_order
from workers.knowledge import Match, build_index, question_words, search
from workers.links import broken_links
from workers.passages import Passage, docstring_passages, document_passages, is_document
from workers.source import Reading, UnreadableError
from workers.task import AgentTask
from workers.text import read_text

AGENT = "domain_expert"

#: Severity of each rule.
SEVERITIES = {"broken-link": Severity.MEDIUM, "empty-document": Severity.LOW}

#: Passages an answer rests on, unless the caller wants another number.
PASSAGES = 5


class Answer(Value):
    """What a project says to a question.

    Attributes:
        question: as it was asked.
        words: what was looked for.
        passages: what answers it best, best first; empty if nothing holds any of the words.
        searched: number of passages that were searched.
        skipped: files that could not be read.
    """

    question: str
    words: tuple[str, ...]
    passages: tuple[Match, ...]
    searched: int
    skipped: tuple[Skipped, ...] = ()


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.domain_expert.survey", pydantic=True)
def survey(unit: Unit) -> Outcome:
    """Index a project's documents and docstrings, and check its documents' relative links.

    Args:
        unit: all files of the project.

    Raises:
        OSError: the index cannot be written below hive's home.
    """
    library = _Library(unit)
    index = build_index(library.passages, index_directory())
    found = [finding for path, text in library.documents.items() for finding in _document_findings(unit, path, text)]
    return Outcome(
        agent=AGENT,
        findings=in_order(found),
        skipped=tuple(library.skipped),
        facts={
            "documents": sorted(library.documents),
            "passages": len(library.passages),
            "index": index.stem,
        },
    )


@shared_task(agent_type=AGENT, name="workers.domain_expert.ask", pydantic=True)
def ask(unit: Unit, question: str, limit: int = PASSAGES) -> Answer:
    """Answer a question with the passages of the project that fit it best.

    Args:
        unit: all files of the project.
        question: in words; no character has a special meaning.
        limit: most passages to return.

    Raises:
        OSError: the index cannot be written below hive's home.
    """
    library = _Library(unit)
    index = build_index(library.passages, index_directory())
    return Answer(
        question=question,
        words=tuple(question_words(question)),
        passages=search(index, question, limit),
        searched=len(library.passages),
        skipped=tuple(library.skipped),
    )


def index_directory() -> Path:
    """Return where indexes lie: below hive's home, never in a project."""
    return load_settings().home / "indexes"


class _Library:
    """The documents and docstrings of a project, read once.

    Attributes:
        documents: text by path.
        passages: of documents first, then of docstrings, each by path and line.
        skipped: what could not be read.
    """

    def __init__(self, unit: Unit) -> None:
        self.documents: dict[str, str] = {}
        self.passages: list[Passage] = []
        python = tuple(sorted(path for path in unit.files if path.endswith(".py")))
        reading = Reading(unit.model_copy(update={"files": python}), AGENT)
        for path in sorted(filter(is_document, unit.files)):
            try:
                self.documents[path] = read_text(unit.root, path)
            except UnreadableError as exc:
                reading.skip(path, str(exc))
            else:
                self.passages += document_passages(path, self.documents[path])
        for source in reading:
            self.passages += docstring_passages(source.path, source.tree)
        self.skipped = reading.skipped


def _document_findings(unit: Unit, path: str, text: str) -> list[Finding]:
    if not text.strip():
        return [_finding("empty-document", path, 0, 0, "the document is empty")]
    return [
        _finding("broken-link", path, link.line, link.column, f"the link {link.written!r} points to nothing")
        for link in broken_links(path, text, lambda target: Path(unit.root, target).exists())
    ]


def _finding(rule: str, path: str, line: int, column: int, message: str) -> Finding:
    return Finding(
        agent=AGENT,
        tool="hive",
        rule=rule,
        severity=SEVERITIES[rule],
        path=path,
        line=line,
        column=column,
        message=message,
    )
