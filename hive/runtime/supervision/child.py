"""One process of a hive under its supervisor: forked from it, or a fresh interpreter where forking is not safe."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hive.runtime.app import Hive
from hive.runtime.loading import load_app
from hive.runtime.supervision.part_plan import SCALER
from hive.runtime.supervision.serve import BOOTSTRAP, serve

#: Names the pipes that a supervisor hands to a fresh interpreter: "<lifeline>,<readiness>".
PIPES_VARIABLE = "HIVE_CHILD_PIPES"


def run_forked(
    app: Hive, app_path: str, arguments: Sequence[str], *, lifeline: int, readiness: int, log: Path
) -> NoReturn:
    """Serve in a process just forked from the supervisor, then end it; does not return.

    Args:
        app: imported before the fork, so that its memory is shared.
        app_path: where it was imported from.
        arguments: what to serve.
        lifeline: a pipe that ends when the supervisor does, however it does.
        readiness: a pipe on which to say that it serves.
        log: file for everything that is printed.
    """
    code = 1
    try:
        # A group of its own: Ctrl-C in the terminal is for the supervisor alone, which tells its children in order.
        os.setpgid(0, 0)
        _print_into(log)
        # What Celery executes again at SIGHUP.
        sys.argv = ["-c", BOOTSTRAP, app_path, *arguments]
        code = _serve(app, arguments, lifeline, readiness)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:
        # The last frame of this process: its log is all there is to tell.
        logging.getLogger(__name__).critical("%s ended", arguments[0], exc_info=True)
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        # The supervisor's own frames lie below: they must not run a second time here.
        os._exit(code)


def main() -> None:
    """Serve in a fresh interpreter: ``APPLICATION CELERY-ARGUMENTS...``, with the pipes named by the environment."""
    app_path, *arguments = sys.argv[1:]
    pipes = os.environ.pop(PIPES_VARIABLE, "")
    app = load_app(app_path)
    if not pipes:
        sys.exit(serve(app, arguments))
    lifeline, readiness = map(int, pipes.split(","))
    sys.exit(_serve(app, arguments, lifeline, readiness))


def _serve(app: Hive, arguments: Sequence[str], lifeline: int, readiness: int) -> int:
    threading.Thread(target=_watch, args=(lifeline,), name="hive-lifeline", daemon=True).start()

    def ready() -> None:
        os.write(readiness, b"ready\n")

    if arguments[0] == SCALER:
        # What a scaler takes, a worker does not need.
        from hive.runtime.supervision.scaling_part import serve_scaler  # noqa: PLC0415

        return serve_scaler(app, arguments, readiness, ready)
    return serve(app, arguments, ready)


def _watch(lifeline: int) -> None:
    """Wait for the supervisor's end, then stop warmly: nobody would start what crashes here, or stop what runs."""
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _print_into(log: Path) -> None:
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
