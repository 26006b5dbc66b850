"""Finding the application that a command serves."""

import sys
from pathlib import Path

from celery.app.utils import find_app
from kombu.exceptions import OperationalError

from hive.errors import BrokerRefusedError, InputError
from hive.runtime.app import Hive
from hive.runtime.broker import EmbeddedBroker
from hive.runtime.connection import broker_facts

#: The application with the tasks of all installed packages.
DEFAULT_APP = "hive.runtime.default_app:app"


def load_app(path: str = DEFAULT_APP) -> Hive:
    """Import an application and all modules with its tasks.

    Args:
        path: ``module:attribute``, or what else ``celery -A`` takes; the working directory is searched too.

    Raises:
        InputError: it cannot be imported, or is no ``hive.Hive``.
        SettingsError: its settings cannot work.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        app = find_app(path)
        if isinstance(app, Hive):
            app.loader.import_default_modules()
            app.finalize()
    except (ImportError, AttributeError, ValueError, SyntaxError) as exc:
        # Celery takes an attribute that is not there for a module, and says that this one is missing.
        why = exc.__context__ if isinstance(exc.__context__, AttributeError) else exc
        raise InputError(
            f"the application {path!r} cannot be imported: {type(why).__name__}: {why}; correct that, or name another "
            "one with --app (HIVE_APP)"
        ) from exc
    except OperationalError as exc:
        raise InputError(
            f"the application {path!r} sends tasks while it is imported, before there is a broker: {exc}; let it do so "
            'under `if __name__ == "__main__":`'
        ) from exc
    if not isinstance(app, Hive):
        raise InputError(
            f"{path!r} is a {type(app).__name__}, not a hive.Hive: write `from hive import Hive` where the application "
            "is made"
        )
    return app


def embedded_broker(app: Hive) -> EmbeddedBroker | None:
    """Return the broker of our own if the application is to use it; none if it has an address of somewhere else."""
    broker = EmbeddedBroker(app.settings)
    return broker if app.conf.broker_url == broker.url else None


def ready_broker(app: Hive) -> bool:
    """Return once the application's broker can serve it; start it if it is our own and nobody has.

    Returns:
        Whether this call started it.

    Raises:
        BrokerError: there is none, or it cannot serve us; the sentence says what to do.
    """
    embedded = embedded_broker(app)
    if embedded is not None:
        return embedded.ensure()
    if broker_facts(app) is None:
        raise BrokerRefusedError(
            f"{app.connection_for_write().as_uri()} is no Redis or Valkey, which hive needs: correct broker= of the "
            "application, or leave it out for hive's own broker"
        )
    return False
