"""The group of commands: each is there under its name, and loaded alone."""

import json
import subprocess
import sys

import click
import pytest

from hive.cli.main import OWN, cli


@pytest.mark.parametrize("name", sorted(OWN))
def test_each_command_is_found_under_its_own_name(name: str) -> None:
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert name in cli.list_commands(context)


def test_the_command_of_a_worker_loads_no_other() -> None:
    text = "import sys; from hive.cli.main import cli; cli(['worker', '--help'], standalone_mode=False)"
    text += "; import json; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=200, check=True
    ).stdout
    loaded = set(json.loads(printed.splitlines()[-1]))
    assert "hive.cli.serving" in loaded
    assert loaded & {"hive.cli.simulate", "hive.cli.bench", "hive.learning", "rich", "prometheus_client"} == set()
