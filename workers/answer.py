"""How an answer of the domain expert is shown."""

from rich.console import Console
from rich.text import Text

from workers.domain_expert import Answer


def print_answer(console: Console, answer: Answer) -> None:
    """Print the passages an answer rests on, best first, each under its path and line."""
    if not answer.passages:
        words = ", ".join(answer.words) or "no word to look for"
        console.print(f"nothing found ({words}) in {answer.searched:,} passages", markup=False, highlight=False)
    for passage in answer.passages:
        console.print(Text(f"{passage.path}:{passage.line}", style="bold"), soft_wrap=True)
        console.print(Text(passage.text.strip()))
        console.print()
    if answer.skipped:
        console.print(f"{len(answer.skipped):,} files could not be read", style="dim", highlight=False)
