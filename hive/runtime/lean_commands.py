"""Celery's commands ``worker`` and ``beat`` alone, for the processes that live long.

Celery's own way to them loads all commands, and with them what it takes to offer a shell and Flower: 12 MB in every
process, which needs neither.
"""

import os
from collections.abc import Sequence
from typing import Any

from celery.bin.base import CLIContext
from celery.bin.beat import beat
from celery.bin.worker import worker

COMMANDS = {"worker": worker, "beat": beat}

#: Read by Celery's command line before it looks at the command.
VARIABLES = ("APP", "BROKER_URL", "RESULT_BACKEND", "LOADER", "CONFIG_MODULE", "NO_COLOR", "SKIP_CHECKS")


def is_plain(app: Any, arguments: Sequence[str]) -> bool:
    """Whether ``arguments`` are those of one of :data:`COMMANDS`, and nothing is to be done before it runs.

    If not, they are left to Celery's own command line: global options before the command or in the environment, and
    options that the application declares itself.
    """
    if any(os.environ.get(name) for name in VARIABLES) or any(app.user_options.values()):
        return False
    return bool(arguments) and arguments[0] in COMMANDS


def run(app: Any, arguments: Sequence[str]) -> None:
    """Run a command until it ends, as ``Celery.start`` does.

    Args:
        app: the application.
        arguments: those for which :func:`is_plain` holds.

    Raises:
        ClickException: Celery's command line cannot read them.
    """
    context = CLIContext(app=app, no_color=False, workdir=None, quiet=False)
    name, *options = arguments
    COMMANDS[name].main(args=options, prog_name=f"celery {name}", obj=context, standalone_mode=False)
