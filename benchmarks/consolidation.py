"""What compaction saves and what is still found afterwards: the curve of tokens against recall.

    python benchmarks/consolidation.py [--data DIR] [--half judge|tune|both] [--json] [--plot FILE.svg] [--quick]

Over the conversations with tool calls in ``agent-traces`` below ``HIVE_DATA_DIR`` (files ``taubench_*.jsonl.gz``). They are
divided by task, so that repeats of a task stay together: rules were tuned on even task numbers (``tune``), and are judged on
odd ones (``judge``, the default). No language model is asked.

All conversations of a half are the memory of one agent, one after the other. At every tool call all that was said before it
in its conversation, and all of the conversations before, is compacted; nothing later is known to anybody.

* Needed facts: the values of the call's arguments, at any depth, of three characters or more, that stand word for word in
  the conversation before the call, and do not stand in the query.
* The query is what the turn knows: the tool's name, the names of the arguments, and the user's last message. Never a value,
  unless the user has just said it; such a value is no needed fact, and counts in `all` only.
* Found: the value stands in one of 10 results of a search of the compacted memory. The archive is not searched. The search
  is told which conversation it is asked in; what it finds without being told, and what the first 5 results hold, stand beside.
* Tokens before: of every different context of the half, so exact duplicates count once. Tokens after: of all that is in the
  memory at the end. Both are estimated (``hive.memory.tokens``), characters stand beside them.

The baselines have the same search, the same exact duplicates removed, and contexts of the same greatest length; instructions
are kept whole by all. `newest` keeps the newest share of each conversation, `clipped` the first share of each context,
`extractive` the share of sentences that TextRank (Mihalcea and Tarau, 2004) puts first.

`kept` is the share of needed facts that stand anywhere in what is left of the conversation: what no search could exceed.
`result tokens` are of the ten results together: where conversations are short, that is much of one. Nothing is random.
"""

import argparse
import gzip
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.consolidation.compaction import Compaction, Reason, compact  # noqa: E402
from hive.consolidation.drafts import Drafts  # noqa: E402
from hive.consolidation.rules import Rules  # noqa: E402
from hive.consolidation.sentences import content_words, sentences  # noqa: E402
from hive.database.contexts import Context, ContextKind  # noqa: E402
from hive.database.sqlite_memories import SqliteMemories  # noqa: E402
from hive.memory.search import search  # noqa: E402
from hive.memory.tokens import estimated_tokens  # noqa: E402

AGENT, TRIAL = "agent", "trial"
RESULTS = 10
FEW = 5
LEAST_CHARS = 3
SHARES = (0.15, 0.25, 0.4, 0.6, 1.0)
SCORES = (2.0, 1000.0, 4.0, 1.0, 0.0)
WHOLE = frozenset({"system"})

counted = lru_cache(maxsize=None)(estimated_tokens)

Policy = Callable[[Sequence[Context], Sequence[Context]], Compaction]


@dataclass(frozen=True)
class Need:
    """A tool call, what it is asked with and the facts it takes from before."""

    at: int
    query: str
    facts: tuple[str, ...]
    stated: tuple[str, ...]


@dataclass(frozen=True)
class Conversation:
    """What was said, and what each tool call needs of it."""

    contexts: tuple[Context, ...]
    needs: tuple[Need, ...]


def stands(value: str, text: str) -> bool:
    """Whether a value stands in a text as a whole word or number."""
    return re.search(rf"(?<![\w.]){re.escape(value)}(?!\w)(?!\.\d)", text) is not None


def leaves(value: Any) -> Iterator[str]:
    """Yield the plain values of arguments as text."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    elif not isinstance(value, bool) and value is not None:
        yield str(value)


def names(value: Any) -> Iterator[str]:
    """Yield the names of arguments at any depth."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from names(inner)
    if isinstance(value, dict):
        yield from value


def as_text(content: Any) -> str:
    """Return what was said, or the blocks that it was said in as JSON."""
    return content if isinstance(content, str) else json.dumps(content)


def said(messages: Sequence[dict[str, Any]], source: str, start: int) -> list[Context]:
    """Return the contexts of a conversation as an agent would append them."""
    found: list[tuple[ContextKind, str, str]] = []
    for message in messages:
        if message.get("content"):
            is_result = message["role"] == "tool"
            kind = ContextKind.RESULT if is_result else ContextKind.MESSAGE
            found.append(
                (kind, message.get("name", "tool") if is_result else message["role"], as_text(message["content"]))
            )
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        found += [(ContextKind.CALL, call["name"], as_text(call["arguments"])) for call in calls]
    return [
        Context(id=start + number, at_ms=start + number, kind=kind, author=author, text=text, source=source)
        for number, (kind, author, text) in enumerate(found)
    ]


def needs(contexts: Sequence[Context]) -> Iterator[Need]:
    """Yield what each tool call of a conversation needs."""
    before, user = "", ""
    for at, one in enumerate(contexts):
        if one.kind is ContextKind.CALL:
            try:
                arguments = json.loads(one.text)
            except ValueError:
                arguments = {}
            query = " ".join([one.author, *dict.fromkeys(names(arguments)), user])
            facts = [value for value in dict.fromkeys(leaves(arguments)) if len(value) >= LEAST_CHARS]
            facts = [value for value in facts if stands(value, before)]
            stated = tuple(value for value in facts if stands(value, query))
            if facts:
                yield Need(at, query, tuple(value for value in facts if value not in stated), stated)
        before += f"\n{one.text}"
        user = one.text if one.author == "user" else user


def read(data: Path, half: str) -> list[Conversation]:
    """Read the conversations of a half."""
    wanted = {"tune": (0,), "judge": (1,), "both": (0, 1)}[half]
    found: list[Conversation] = []
    # They are never appended: no number of a context in the memory may be one of these.
    start = 1_000_000_000
    for path in sorted((data / "agent-traces").glob("taubench_*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for run in map(json.loads, lines):
                if run["task_id"] % 2 in wanted:
                    contexts = said(run["traj"], f"{path.name}:{run['task_id']}:{run['trial']}", start)
                    start += len(contexts)
                    found.append(Conversation(tuple(contexts), tuple(needs(contexts))))
    return found


def dropping(fresh: Sequence[Context], known: Sequence[Context], texts: Sequence[tuple[Context, str]]) -> Compaction:
    """Keep these texts, in pieces of the length that contexts of hive have, each only once."""
    drafts = Drafts()
    for one in known:
        drafts.know(one)
    dropped = {one.id: Reason.REWRITTEN for one in fresh}
    for one, text in texts:
        size = len(text) if one.author in WHOLE else Rules().record_chars
        for at in range(0, len(text), max(1, size)):
            piece = Context(
                kind=ContextKind.SUMMARY,
                text=text[at : at + size],
                author=one.author,
                source=one.source,
                at_ms=one.at_ms,
            )
            same = drafts.add(piece)
            if same:
                dropped[same] = Reason.DUPLICATE
    return Compaction(drafts=drafts.all(), dropped=dropped)


def newest(share: float, fresh: Sequence[Context], known: Sequence[Context]) -> Compaction:
    """Keep the newest contexts, up to a share of the conversation's tokens; the last one in part."""
    room = share * sum(counted(one.text) for one in fresh if one.author not in WHOLE)
    kept: list[tuple[Context, str]] = []
    for one in reversed(fresh):
        if one.author in WHOLE:
            kept.append((one, one.text))
        elif room > 0:
            size = counted(one.text)
            kept.append((one, one.text[-max(1, round(len(one.text) * min(1.0, room / max(1, size)))) :]))
            room -= size
    return dropping(fresh, known, kept[::-1])


def clipped(share: float, fresh: Sequence[Context], known: Sequence[Context]) -> Compaction:
    """Keep the beginning of each context."""
    kept = [(one, one.text if one.author in WHOLE else one.text[: round(len(one.text) * share)]) for one in fresh]
    return dropping(fresh, known, [(one, text) for one, text in kept if text])


class TextRank:
    """Ranks the sentences of a conversation; the ranks of the same contexts are worked out once."""

    def __init__(self) -> None:
        self._ranked: dict[tuple[int, int], list[tuple[float, int, Context, str]]] = {}

    def __call__(self, share: float, fresh: Sequence[Context], known: Sequence[Context]) -> Compaction:
        """Keep the sentences that are ranked first, up to a share of the conversation's tokens, in their order."""
        key = (fresh[0].id, len(fresh))
        if key not in self._ranked:
            self._ranked[key] = self._rank(fresh)
        room = share * sum(counted(one.text) for one in fresh if one.author not in WHOLE)
        kept = [(-1, one, one.text) for one in fresh if one.author in WHOLE]
        for _, number, one, sentence in sorted(self._ranked[key], key=lambda each: (-each[0], each[1])):
            room -= counted(sentence)
            if room < 0:
                break
            kept.append((number, one, sentence))
        texts: dict[int, tuple[Context, str]] = {}
        for _, one, sentence in sorted(kept, key=lambda each: each[0]):
            before = texts.get(one.id)
            texts[one.id] = (one, f"{before[1]}\n{sentence}" if before else sentence)
        return dropping(fresh, known, list(texts.values()))

    def _rank(self, fresh: Sequence[Context]) -> list[tuple[float, int, Context, str]]:
        found = [
            (one, sentence)
            for one in fresh
            if one.author not in WHOLE
            # A result in JSON has no sentences: its objects stand for them.
            for sentence in sentences(one.text.replace("}, ", "},\n"))
        ]
        words = [content_words(sentence) for _, sentence in found]
        links: list[list[tuple[int, float]]] = [[] for _ in found]
        for one, mine in enumerate(words):
            for other in range(one):
                common = len(mine & words[other])
                if common:
                    weight = common / (1 + len(mine) + len(words[other]))
                    links[one].append((other, weight))
                    links[other].append((one, weight))
        total = [sum(weight for _, weight in each) or 1.0 for each in links]
        rank = [1.0] * len(found)
        for _ in range(15):
            rank = [0.15 + 0.85 * sum(rank[other] * weight / total[other] for other, weight in each) for each in links]
        return [(rank[number], number, *each) for number, each in enumerate(found)]


def hive_rules(score: float, fresh: Sequence[Context], known: Sequence[Context]) -> Compaction:
    """Compact as hive does, keeping sentences of so many points."""
    return compact(fresh, known, Rules(least_score=score))


def measured(conversations: Sequence[Conversation], policy: Policy, directory: Path) -> dict[str, Any]:
    """Return tokens and recall of one way to compact."""
    path = directory / "memories.sqlite"
    path.unlink(missing_ok=True)
    database = SqliteMemories(path)
    counts: Counter[str] = Counter()
    for conversation in conversations:
        known = database.read(AGENT)
        for need in conversation.needs:
            decided = _written(database, policy, conversation.contexts[: need.at], known, TRIAL)
            _look(database, need, decided, conversation.contexts[0].source, counts)
            database.undo(AGENT, TRIAL)
        _written(database, policy, conversation.contexts, known, "kept")
    left = database.read(AGENT)
    database.close()
    different = {(one.kind, one.author, one.text) for each in conversations for one in each.contexts}
    before = sum(counted(text) for *_, text in different)
    after = sum(counted(one.text) for one in left)
    chars = sum(len(text) for *_, text in different)
    return {
        "tokens_before": before,
        "tokens_after": after,
        "tokens_share": round(after / before, 4),
        "chars_share": round(sum(len(one.text) for one in left) / chars, 4),
        "contexts": len(left),
        "recall": round(counts["found"] / counts["needed"], 4),
        "recall_with_digits": round(counts["found_digits"] / counts["digits"], 4),
        "recall_all": round((counts["found"] + counts["found_stated"]) / (counts["needed"] + counts["stated"]), 4),
        "recall_of_5": round(counts["found_few"] / counts["needed"], 4),
        "recall_without_source": round(counts["found_unsourced"] / counts["needed"], 4),
        "kept": round(counts["kept"] / counts["needed"], 4),
        "needed_facts": counts["needed"],
        "calls": counts["calls"],
        "result_tokens": round(counts["result_tokens"] / counts["calls"]),
        "context_tokens": round(counts["context_tokens"] / counts["calls"]),
    }


def _written(
    database: SqliteMemories, policy: Policy, fresh: Sequence[Context], known: Sequence[Context], run: str
) -> Compaction:
    decided = policy(fresh, known)
    inside = {one.id for one in known}
    dropped = {id_: reason.value for id_, reason in decided.dropped.items() if id_ in inside}
    database.replace(AGENT, run, decided.drafts, dropped, at_ms=0, until_ms=0)
    return decided


def _look(database: SqliteMemories, need: Need, decided: Compaction, source: str, counts: Counter[str]) -> None:
    results = search(database, AGENT, need.query, limit=RESULTS, source=source)
    found = "\n".join(one.text for one in results)
    first = "\n".join(one.text for one in results[:FEW])
    unsourced = "\n".join(one.text for one in search(database, AGENT, need.query, limit=RESULTS, source=None))
    left = "\n".join(one.text for one in decided.drafts)
    counts["calls"] += 1
    counts["result_tokens"] += counted(found)
    counts["context_tokens"] += counted(left)
    for value in need.facts:
        is_found = stands(value, found)
        counts["needed"] += 1
        counts["found"] += is_found
        counts["found_few"] += stands(value, first)
        counts["found_unsourced"] += stands(value, unsourced)
        counts["kept"] += stands(value, left)
        if any(sign.isdigit() for sign in value):
            counts["digits"] += 1
            counts["found_digits"] += is_found
    for value in need.stated:
        counts["stated"] += 1
        counts["found_stated"] += stands(value, found)


def curve(conversations: Sequence[Conversation], *, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for each way to compact, at each size."""
    ways: list[tuple[str, float, Policy]] = [
        ("hive", score, partial(hive_rules, score)) for score in SCORES if not quick or score == Rules().least_score
    ]
    shares = (0.5,) if quick else SHARES
    for name, way in (("newest", newest), ("clipped", clipped), ("extractive", TextRank())):
        ways += [(name, share, partial(way, share)) for share in shares]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        for name, setting, policy in ways:
            is_default = name == "hive" and setting == Rules().least_score
            yield {
                "way": name,
                "setting": setting,
                "default": is_default,
                **measured(conversations, policy, Path(directory)),
            }


COLOURS = {"hive": "#0072b2", "newest": "#d55e00", "clipped": "#009e73", "extractive": "#cc79a7"}
LEFT, TOP, WIDTH, HEIGHT = 60, 30, 620, 380


def plot(rows: Sequence[dict[str, Any]], title: str) -> str:
    """Return the curve as SVG: tokens left across, recall upwards, the bar shaded."""

    def at(share: float, recall: float) -> tuple[float, float]:
        return LEFT + min(share, 1.1) / 1.1 * WIDTH, TOP + (1 - recall) * HEIGHT

    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {TOP + HEIGHT + 60}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    )
    parts = [head, f'<text x="{LEFT}" y="18" font-size="14">{title}</text>']
    (x0, y0), (x1, y1) = at(0, 1), at(0.5, 0.95)
    parts.append(f'<rect x="{x0}" y="{y0}" width="{x1 - x0}" height="{y1 - y0}" fill="#0072b2" opacity="0.15"/>')
    for tenth in range(0, 12, 2):
        x, y = at(tenth / 10, 0)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{y + 16}" text-anchor="middle">{tenth * 10} %</text>')
        if tenth <= 10:
            x, y = at(0, tenth / 10)
            parts.append(f'<line x1="{x}" x2="{LEFT + WIDTH}" y1="{y}" y2="{y}" stroke="#ddd"/>')
            parts.append(f'<text x="{x - 6}" y="{y + 4}" text-anchor="end">{tenth * 10} %</text>')
    parts.append(
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 36}" text-anchor="middle">'
        "tokens left, of those without exact duplicates</text>"
    )
    parts.append(f'<text x="{LEFT + 6}" y="{TOP + HEIGHT - 8}">needed facts found by 10 results</text>')
    for number, (way, colour) in enumerate(COLOURS.items()):
        points = [at(row["tokens_share"], row["recall"]) for row in rows if row["way"] == way]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in sorted(points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        y = TOP + HEIGHT - 110 + 20 * number
        parts.append(f'<rect x="{LEFT + WIDTH - 110}" y="{y}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + WIDTH - 90}" y="{y + 7}">{way}</text>')
    return "\n".join([*parts, "</svg>"])


COLUMNS = (
    "way", "setting", "tokens_share", "chars_share", "recall", "recall_with_digits", "recall_all", "recall_of_5", "recall_without_source",
    "kept", "contexts", "result_tokens", "context_tokens",
)  # fmt: skip


def main() -> None:
    """Print the curve."""
    parser = argparse.ArgumentParser(description="The curve of tokens against recall of compacted conversations.")
    parser.add_argument("--data", type=Path, default=os.environ.get("HIVE_DATA_DIR", ROOT.parent / "shared" / "data"))
    parser.add_argument("--half", choices=("judge", "tune", "both"), default="judge")
    parser.add_argument("--json", action="store_true", help="print one JSON record instead of a table")
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    parser.add_argument("--quick", action="store_true", help="one size of each way only")
    arguments = parser.parse_args()
    conversations = read(Path(arguments.data), arguments.half)
    if not conversations:
        parser.error(f"there are no conversations in {arguments.data}/agent-traces; set HIVE_DATA_DIR")
    rows = []
    if not arguments.json:
        print("  ".join(name.replace("_", " ").rjust(8) for name in COLUMNS))
    for row in curve(conversations, quick=arguments.quick):
        rows.append(row)
        if not arguments.json:
            mark = " <- default" if row["default"] else ""
            print("  ".join(str(row[name]).rjust(max(8, len(name))) for name in COLUMNS) + mark, flush=True)
    if arguments.json:
        print(json.dumps({"half": arguments.half, "conversations": len(conversations), "rows": rows}, indent=2))
    else:
        first = rows[0]
        print(
            f"{len(conversations)} conversations, {first['calls']} calls with {first['needed_facts']} needed facts, "
            f"{first['tokens_before']} tokens without exact duplicates"
        )
    if arguments.plot:
        title = f"{len(conversations)} conversations, half '{arguments.half}'"
        arguments.plot.write_text(plot(rows, title), encoding="utf-8")


if __name__ == "__main__":
    main()
