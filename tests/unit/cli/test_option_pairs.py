"""Options that contradict each other, or say nothing without another: refused before anything is asked or done."""

import pytest
from click.testing import CliRunner

from hive.cli.main import cli
from hive.errors import InputError


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("wake t --value {}", "--value comes with --event"),
        ("wake t --answer retry --value 1", "--value comes with --event"),
        ("wake t --answer result", "needs --value"),
        ("wake t --answer retry --event go", "one of --event, --answer and --anew"),
        ("wake a --anew --event go", "one of --event, --answer and --anew"),
        ("consolidate a --undo 1-a --dry-run", "one of --dry-run, --runs and --undo"),
        ("consolidate a --runs --dry-run", "one of --dry-run, --runs and --undo"),
        ("consolidate", "an AGENT or --all"),
        ("consolidate a --all", "an AGENT or --all"),
        ("consolidate --all --undo 1-a", "wants the AGENT"),
        ("autoscale --json", "--json comes with --once"),
    ],
)
def test_a_pair_that_cannot_be_meant_is_refused(words: str, why: str) -> None:
    # An application that cannot be loaded: none was asked for.
    done = CliRunner().invoke(cli, words.split(), env={"HIVE_APP": "no.such.module:app"})
    assert isinstance(done.exception, InputError)
    assert why in str(done.exception)
