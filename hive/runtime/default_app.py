"""The application that ``hive worker``, ``hive up`` and ``hive review`` serve where the user names none.

Its tasks are those of installed packages (entry point group ``hive.tasks``) and of the modules in the setting
``imports``; a file ``celeryconfig.py`` in the working directory configures it, as it would a Celery application;
where there is none, beat sends what upkeep needs.
"""

import sys
from importlib.metadata import entry_points
from pathlib import Path

from hive.runtime.app import Hive
from hive.runtime.defaults import CONSOLIDATION, upkeep_entries

#: Entry point group under which an installed package names a module with tasks.
TASK_MODULES = "hive.tasks"


def build() -> Hive:
    """Return a new application with the tasks of all installed packages.

    Raises:
        SettingsError: the settings cannot work.
    """
    app = Hive("hive")
    modules = [entry.value for entry in entry_points(group=TASK_MODULES)]
    app.conf.include = [*modules, CONSOLIDATION, *app.settings.imports]
    if Path("celeryconfig.py").is_file():
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        app.config_from_object("celeryconfig")
    else:
        app.conf.beat_schedule = upkeep_entries()
    return app


app = build()
