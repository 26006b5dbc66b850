"""Pages that commands write: where none can be, nothing is worked on first."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hive.cli.main import cli
from hive.errors import InputError


def with_pictures(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that has the option ``--picture``."""
    if any("--picture" in option.opts for option in command.params):
        yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from with_pictures(found, (*words, name))


def test_no_command_reads_anything_for_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    found = list(with_pictures(cli))
    assert {("forecast",), ("simulate",), ("schedule", "simulate")} <= set(found)
    recorded = {("forecast",): "--series"}
    for words in found:
        # A recording that is not there: it would be the first thing to fail.
        arguments = [*words, recorded.get(words, "--arrivals"), "none.csv", "--picture"]
        with pytest.raises(InputError, match="there is no directory"):
            cli.main([*arguments, str(tmp_path / "missing" / "page.html")], standalone_mode=False)
        with pytest.raises(InputError, match=r"none\.csv"):
            cli.main([*arguments, str(tmp_path / "page.html")], standalone_mode=False)
